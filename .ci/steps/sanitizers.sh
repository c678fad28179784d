# The C core without Python, with three threads, under the compiler's sanitizers.
make --directory tests/csrc sanitize tsan
