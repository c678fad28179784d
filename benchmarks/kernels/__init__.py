"""The kernel workbench: is every variant right, and how near is it to what a core can do?"""
