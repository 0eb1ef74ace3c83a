"""Other compilers on the layers of benchmarks.riscv, under the same meter. Never part of the product.

Their wheels may live in an interpreter of their own; ``foreign/`` has what runs there, and the C that
calls their objects.
"""
