"""A compiler launcher: runs nvcc with `ptxas -v` and moves ptxas's report from stderr into OBJECT.ptxas.

A launcher of the build's own (ccache) may precede nvcc on the command line.
"""
import subprocess
import sys


def main():
    command = sys.argv[1:]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    lines = done.stderr.splitlines(keepends=True)
    report = [line for line in lines if line.startswith("ptxas info") or "bytes stack frame" in line]
    sys.stderr.writelines(line for line in lines if line not in report)
    if "-o" in command and report:
        with open(command[command.index("-o") + 1] + ".ptxas", "w", encoding="utf-8") as file:
            file.writelines(report)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
