"""Compiles the recipe's C files for this machine, once, and loads them."""
import ctypes
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "..", "build", "train")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fPIC"]


def library(name):
    """The shared library of NAME.c, compiled anew when that is newer."""
    so, src = os.path.join(BUILD, f"lib{name}.so"), os.path.join(HERE, name + ".c")
    if not os.path.exists(so) or os.path.getmtime(so) < os.path.getmtime(src):
        os.makedirs(BUILD, exist_ok=True)
        beside = f"{so}.{os.getpid()}"
        subprocess.check_call(["cc", *FLAGS, "-c", "-o", beside + ".o", src])
        # linked without the flags: with them the library would flush numpy's smallest numbers to zero
        subprocess.check_call(["cc", "-shared", "-o", beside, beside + ".o", "-lm"])
        os.remove(beside + ".o")
        os.replace(beside, so)
    return ctypes.CDLL(so)
