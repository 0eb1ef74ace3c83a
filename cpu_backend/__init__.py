"""Graph region to C99: RISC-V with and without the vector extension, and any other machine with a C compiler."""
