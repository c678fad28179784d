"""How does a table of mixed columns become numbers, and back?"""
