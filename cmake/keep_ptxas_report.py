"""A compiler launcher: runs the nvcc command and moves the output of `ptxas -v` from stderr to OBJECT.ptxas."""
import subprocess
import sys


def main():
    command = sys.argv[1:]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    lines = done.stderr.splitlines(keepends=True)
    reported = [line for line in lines if line.startswith("ptxas info") or "bytes stack frame" in line]
    sys.stderr.writelines(line for line in lines if line not in reported)
    if "-o" in command and reported:
        with open(command[command.index("-o") + 1] + ".ptxas", "w", encoding="utf-8") as report:
            report.writelines(reported)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
