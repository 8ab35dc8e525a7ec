"""A compiler launcher: runs nvcc as given and moves what `ptxas -v` says from stderr into OBJECT.ptxas."""
import subprocess
import sys


def main():
    command = sys.argv[1:]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    lines = done.stderr.splitlines(keepends=True)
    told = [line for line in lines if line.startswith("ptxas info") or "bytes stack frame" in line]
    sys.stderr.writelines(line for line in lines if line not in told)
    if "-o" in command and told:
        with open(command[command.index("-o") + 1] + ".ptxas", "w", encoding="utf-8") as report:
            report.writelines(told)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
