// Ranks of mpirun that fail, are killed or hang, and trainings that continue after it.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>

#include "plasticity/io/safetensors.hpp"
#include "support/files.hpp"

extern char** environ;

namespace plasticity {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Factor of the time limits: a rank under a sanitizer is slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int slowness = 5;
#else
constexpr int slowness = 1;
#endif
const std::string limit_text = std::to_string(slowness) + " s";  // of a rank's wait for others

/// Words of a command that set this limit.
std::string limit_of_ranks() { return "PLASTICITY_TIME_LIMIT=" + std::to_string(slowness) + " "; }

struct Outcome {
  int exit_code = -1;
  std::string output;  // stdout and stderr
  double seconds = 0;
};

/// Each test has its own folder, which is removed at the end.
class Mpi : public ::testing::Test {
 protected:
  Mpi() {
    // For the ranks: MPICH leaks in a library that it unloads, which no suppression can name.
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
  }

  /// Starts a shell command in a process group of its own.
  pid_t start(const std::string& command) const {
    const std::string line = command + " > '" + at("output") + "' 2>&1";
    const char* arguments[] = {"/bin/sh", "-c", line.c_str(), nullptr};
    posix_spawnattr_t group;
    posix_spawnattr_init(&group);
    posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
    pid_t child = 0;
    if (posix_spawn(&child, arguments[0], nullptr, &group, const_cast<char**>(arguments), environ) != 0)
      throw std::runtime_error("cannot start " + command);
    return child;
  }

  /// Waits until a command has ended or `limit` is over. Returns whether it has ended; wait() must follow.
  static bool ends(pid_t child, std::chrono::seconds limit) {
    for (const Clock::time_point end = Clock::now() + limit; Clock::now() < end;) {
      siginfo_t info{};
      if (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          info.si_pid != 0)
        return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  /// Waits for the end of a command, at most `limit`.
  Outcome wait(pid_t child, Clock::time_point begin, std::chrono::seconds limit = 30s * slowness) const {
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
      if (Clock::now() - begin > limit) {
        kill(-child, SIGKILL);
        waitpid(child, &status, 0);
        ADD_FAILURE() << "the ranks have not ended within " << limit.count()
                      << " s: " << testing::read_file(at("output"));
        break;
      }
      std::this_thread::sleep_for(5ms);
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            testing::read_file(at("output")), std::chrono::duration<double>(Clock::now() - begin).count()};
  }

  Outcome run(const std::string& command) const {
    const Clock::time_point begin = Clock::now();
    return wait(start(command), begin);
  }

  /// Waits until a rank has written its process id. Returns 0 if that takes too long.
  pid_t pid_of_rank(int rank, Clock::time_point begin) const {
    pid_t pid = 0;
    while (pid == 0 && Clock::now() - begin < 20s * slowness) {
      std::ifstream(at("pid." + std::to_string(rank))) >> pid;
      std::this_thread::sleep_for(1ms);
    }
    return pid;
  }

  /// Whether an error of another rank names the rank, alone or among others, and expects a regular
  /// expression.
  static bool is_named(int rank, const std::string& output, const std::string& expected = "") {
    return std::regex_search(output, std::regex("ranks? ([0-9, and]* )?" + std::to_string(rank) +
                                                "((, | and )[0-9, and]*)?: expected " + expected));
  }
  /// Whether this rank is the only one that prints no error.
  static bool only_one_silent(int rank, int ranks, const std::string& output) {
    for (int r = 0; r < ranks; ++r) {
      const bool prints = output.find("on rank " + std::to_string(r) + ": ") != std::string::npos;
      if (prints == (r == rank)) return false;
    }
    return true;
  }

  static std::string mpirun(int ranks) {
    return std::string(PLASTICITY_MPIRUN) + " -n " + std::to_string(ranks) + " ";
  }
  /// A program under a shell that prints the rank of a process that has ended with an error. mpirun watches
  /// the shell, so it ends the other ranks only after that. The guide has this command.
  static std::string reported(const std::string& program) {
    return "sh -c '\"$@\" || { code=$?; echo \"rank ${PMI_RANK-$OMPI_COMM_WORLD_RANK}: exit code $code\" "
           ">&2; "
           "sleep 1; exit $code; }' sh " +
           program;
  }
  std::string at(const std::string& name) const { return (folder / name).string(); }

  const testing::TemporaryFolder folder{testing::memory_folder()};
  const std::string program = std::string(PLASTICITY_MPI_RANKS) + " ";
};

// Each way of failing ends all ranks within the time limit and a few seconds, with an error that names
// rank 1.
TEST_F(Mpi, ARankThatFailsEndsAllAndIsNamed) {
  for (const std::string how : {"begin", "throws", "hangs", "calls", "sizes", "end"}) {
    const Outcome outcome = run(limit_of_ranks() + mpirun(4) + program + "fail " + how);
    EXPECT_NE(outcome.exit_code, 0) << how;
    EXPECT_LT(outcome.seconds, 12 * slowness) << how;
    EXPECT_TRUE(outcome.output.find("rank 1") != std::string::npos || is_named(1, outcome.output))
        << how << ": " << outcome.output;
  }
}

// MPI_Init does not report which rank is missing: it is the one that prints nothing.
TEST_F(Mpi, ARankThatHangsBeforeMpiBeginsEndsAll) {
  const Outcome outcome = run(limit_of_ranks() + mpirun(4) + program + "fail init");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, 12 * slowness);
  for (int rank = 0; rank < 4; ++rank) {
    const std::string line = "MPI_Init on rank " + std::to_string(rank) +
                             ": expected all ranks to begin within " + limit_text + ", got fewer";
    EXPECT_EQ(outcome.output.find(line) == std::string::npos, rank == 1) << outcome.output;
  }
}

#ifdef PLASTICITY_MPICH
// The mpirun of MPICH ends all ranks and returns 0, unless it has this option.
TEST_F(Mpi, ARankThatExitsIsNamedWithoutCleanup) {
  const Outcome outcome = run(limit_of_ranks() + std::string(PLASTICITY_MPIRUN) +
                              " -disable-auto-cleanup -n 4 " + program + "fail ends");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, 12 * slowness);
  EXPECT_TRUE(is_named(1, outcome.output, "sum\\(\\) within " + limit_text + ", got nothing"))
      << outcome.output;
}

// The others continue after the kill, to their time limit, and name the rank too.
TEST_F(Mpi, TheOthersNameAKilledRankWithoutCleanup) {
  const Clock::time_point begin = Clock::now();
  const pid_t child = start("PIDS=" + at("pid") + " " + limit_of_ranks() + PLASTICITY_MPIRUN +
                            " -disable-auto-cleanup -n 4 " + reported(program) + "fail hangs");
  const pid_t rank = pid_of_rank(1, begin);
  ASSERT_NE(rank, 0) << testing::read_file(at("output"));
  ASSERT_EQ(kill(rank, SIGKILL), 0);
  const Outcome outcome = wait(child, begin);
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_LT(outcome.seconds, 12 * slowness);
  EXPECT_NE(outcome.output.find("rank 1: exit code 137"), std::string::npos) << outcome.output;
  EXPECT_TRUE(is_named(1, outcome.output)) << outcome.output;
}
#endif

TEST_F(Mpi, ABadTimeLimitIsAnError) {
  const Outcome outcome = run("PLASTICITY_TIME_LIMIT=soon " + mpirun(2) + program + "calls");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.output.find("PLASTICITY_TIME_LIMIT: expected seconds from 0.001 to 1000000, got 'soon'"),
            std::string::npos)
      << outcome.output;
}

// Ranks are killed or stopped at random points of a training, which then continues with another number of
// ranks. mpirun ends all ranks when one is killed, and its message has the signal. Every second kill is that
// of a rank under a shell, which must name it. If a rank is stopped, the others must find out.
TEST_F(Mpi, ResumesToTheSameBitsAfterThirtyKills) {
  constexpr int kills = 30;
  const std::string iterations = " 400";
  const std::string undisturbed = at("undisturbed.safetensors"), disturbed = at("disturbed.safetensors");
  Outcome whole = run(program + "train " + undisturbed + iterations);
  ASSERT_EQ(whole.exit_code, 0) << whole.output;

  std::mt19937 random(11);
  const auto iteration_of = [&](const std::string& file) {
    return std::filesystem::exists(file) ? std::stoi(io::load(file).metadata.at("iteration")) : 0;
  };
  int killed = 0, stopped = 0, unnamed = 0, advanced = 0, finished = 0;
  for (int trial = 0; killed < kills; ++trial) {
    const int ranks = 2 << random() % 2, victim = static_cast<int>(random() % static_cast<unsigned>(ranks));
    const bool stops = trial % 4 == 3, is_reported = trial % 2 == 0;
    for (int r = 0; r < ranks; ++r) std::filesystem::remove(at("pid." + std::to_string(r)));
    const int before = iteration_of(disturbed);
    const Clock::time_point begin = Clock::now();
    const pid_t child = start("PIDS=" + at("pid") + " PLASTICITY_TIME_LIMIT=" + std::to_string(2 * slowness) +
                              " " + mpirun(ranks) + (is_reported ? reported(program) : program) + "train " +
                              disturbed + iterations);
    const pid_t rank = pid_of_rank(victim, begin);
    ASSERT_NE(rank, 0) << testing::read_file(at("output"));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    const bool hit = kill(rank, stops ? SIGSTOP : SIGKILL) == 0;
    // If a rank is stopped after all have done their work, only mpirun waits for it.
    const bool only_mpirun = stops && !ends(child, 10s * slowness) && iteration_of(disturbed) == 400;
    if (only_mpirun) kill(rank, SIGKILL);
    const Outcome outcome = wait(child, begin);
    const int after = iteration_of(disturbed);  // loading checks the whole file
    EXPECT_GE(after, before) << "a saved iteration was lost";
    if (outcome.exit_code == 0) {
      EXPECT_TRUE(!hit || after == 400) << outcome.output;
      EXPECT_EQ(testing::read_file(disturbed), testing::read_file(undisturbed));
      std::filesystem::remove(disturbed);
      ++finished;
      continue;
    }
    ++(stops ? stopped : killed);
    advanced += after > before ? 1 : 0;
    EXPECT_LT(outcome.seconds, 20 * slowness) << outcome.output;
    if (!stops) {
      const std::string report = "rank " + std::to_string(victim) + ": exit code 137";
      EXPECT_NE(outcome.output.find(is_reported ? report : "ignal 9"), std::string::npos) << outcome.output;
      continue;
    }
    // A rank is not named if it is stopped between its last message and the end of MPI_Finalize, and perhaps
    // not in the middle of a send, which can hold up the messages of another rank.
    const bool excused = only_mpirun ||
                         outcome.output.find("MPI_Finalize: expected all") != std::string::npos ||
                         only_one_silent(victim, ranks, outcome.output);
    const bool named = is_named(victim, outcome.output);
    EXPECT_TRUE(named || excused) << "stopped rank " << victim << ": " << outcome.output;
    unnamed += named ? 0 : 1;
  }
  whole = run(mpirun(2) + program + "train " + disturbed + iterations);
  ASSERT_EQ(whole.exit_code, 0) << whole.output;
  EXPECT_TRUE(io::load(disturbed) == io::load(undisturbed));
  EXPECT_EQ(testing::read_file(disturbed), testing::read_file(undisturbed));
  EXPECT_GT(advanced, 5) << finished << " trainings finished";
  EXPECT_GT(stopped, 3);
  std::printf("%d kills and %d stops (%d unnamed), %d of them after progress, %d finished trainings\n",
              killed, stopped, unnamed, advanced, finished);
}

#ifdef PLASTICITY_TOOL_PATH
// The networks of the demo on two ranks are those of one rank, bit for bit, and any number of ranks resumes.
TEST_F(Mpi, TheToolTrainsTheSameNetworks) {
  const auto command = [&](int ranks, const std::string& out, const std::string& more) {
    return (ranks == 0 ? std::string() : mpirun(ranks)) + PLASTICITY_TOOL_PATH +
           " train images --data drawn --batch 4 --device cpu --threads 1 --out " + at(out) + " " + more;
  };
  const Outcome one = run(command(0, "one", "--iterations 6"));
  ASSERT_EQ(one.exit_code, 0) << one.output;
  for (const int ranks : {1, 2, 4}) {
    const std::string out = "ranks" + std::to_string(ranks);
    const Outcome several = run(command(ranks, out, "--iterations 6"));
    ASSERT_EQ(several.exit_code, 0) << several.output;
    for (const char* file : {"plastic.safetensors", "fixed.safetensors", "images.checkpoint.safetensors"})
      EXPECT_EQ(testing::read_file(at(out + "/" + file)), testing::read_file(at("one/") + file))
          << ranks << " ranks: " << file;
    EXPECT_EQ(testing::read_file(at(out + "/learning_curve.png")),
              testing::read_file(at("one/learning_curve.png")));
    EXPECT_EQ(several.output.find("completion error"), several.output.rfind("completion error"))
        << several.output;
  }
  const Outcome more = run(command(2, "one", "--resume --iterations 8")),
                all = run(command(0, "all", "--iterations 8"));
  ASSERT_EQ(more.exit_code, 0) << more.output;
  const Outcome again = run(command(0, "ranks2", "--resume --iterations 8"));
  ASSERT_EQ(again.exit_code, 0) << again.output;
  for (const char* file : {"plastic.safetensors", "fixed.safetensors"})
    EXPECT_EQ(testing::read_file(at("one/") + file), testing::read_file(at("ranks2/") + file)) << file;
}

TEST_F(Mpi, TheToolRefusesABatchThatTheRanksDoNotDivide) {
  const Outcome outcome = run(mpirun(2) + PLASTICITY_TOOL_PATH +
                              " train images --data drawn --batch 3 --iterations 1 --out " + at("out"));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.output.find("batch: expected a multiple of 2, the number of ranks, got 3"),
            std::string::npos)
      << outcome.output;
}
#endif

#ifdef PLASTICITY_EXAMPLES_FOLDER
// An example that has not learned enough exits with 1.
TEST_F(Mpi, TheExamplesTrainTheSameNetworks) {
  struct Example {
    const char *arguments, *network;
  };
  for (const Example& example :
       {Example{"maze --quick --iterations 3 --only modulated", "maze.modulated.safetensors"},
        Example{"patterns --quick --iterations 4 --batch 2 --hidden 20", "patterns.plastic.safetensors"},
        Example{"patterns --quick --iterations 4 --batch 2 --hidden 20",
                "patterns.plain_LSTM.safetensors"}}) {
    const std::string command =
        std::string(PLASTICITY_EXAMPLES_FOLDER) + "/" + example.arguments + " --device cpu --out ";
    const Outcome one = run(command + at("one")), two = run(mpirun(2) + command + at("two"));
    EXPECT_LE(one.exit_code, 1) << one.output;
    EXPECT_LE(two.exit_code, 1) << two.output;
    const std::string expected = testing::read_file(at("one/") + example.network);
    EXPECT_FALSE(expected.empty()) << one.output;
    EXPECT_EQ(testing::read_file(at("two/") + example.network), expected) << two.output;
  }
}
#endif

}  // namespace
}  // namespace plasticity
