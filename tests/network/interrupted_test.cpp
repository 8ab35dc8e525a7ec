// A training that is killed by SIGKILL at random times, again and again, ends with the same bits as an
// uninterrupted one. After every kill the checkpoint is complete, and the folder has at most one temporary
// file.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <thread>

#include "plasticity/io/safetensors.hpp"
#include "support/files.hpp"

extern char** environ;

namespace plasticity {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int iterations = 60, kills = 50;

class Interrupted : public ::testing::Test {
 protected:
  pid_t start(const std::filesystem::path& checkpoint) const {
    const std::string count = std::to_string(iterations);
    std::string program = PLASTICITY_TRAINING, path = checkpoint.string();
    char* const arguments[] = {program.data(), path.data(), const_cast<char*>(count.c_str()), nullptr};
    pid_t child = 0;
    if (posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0) {
      throw std::runtime_error("cannot start " + program);
    }
    return child;
  }

  static int wait(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  /// Returns the iteration of a checkpoint, or 0 if there is none. Loading checks the whole file.
  static int iteration_of(const std::filesystem::path& checkpoint) {
    return std::filesystem::exists(checkpoint) ? std::stoi(io::load(checkpoint).metadata.at("iteration")) : 0;
  }

  /// Returns the number of other files in the folder.
  std::size_t others(std::initializer_list<std::filesystem::path> known) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      count += std::find(known.begin(), known.end(), entry.path()) == known.end() ? 1 : 0;
    }
    return count;
  }

  const testing::TemporaryFolder folder{testing::memory_folder()};
};

TEST_F(Interrupted, ResumesToTheSameBitsAfterFiftyKills) {
  const std::filesystem::path uninterrupted = folder / "uninterrupted.safetensors";
  const std::filesystem::path killed_run = folder / "killed_run.safetensors";
  const Clock::time_point start_time = Clock::now();
  ASSERT_EQ(wait(start(uninterrupted)), 0);
  const std::chrono::duration<double> duration = Clock::now() - start_time;
  ASSERT_EQ(iteration_of(uninterrupted), iterations);

  std::mt19937 random(7);
  std::uniform_real_distribution<double> part(0, 1);
  double longest = std::min(duration.count() / 5, .3);  // seconds; grows if no checkpoint is reached
  int killed = 0, finished = 0, resumed = 0;
  while (killed < kills) {
    const int before = iteration_of(killed_run);
    const pid_t child = start(killed_run);
    std::this_thread::sleep_for(std::chrono::duration<double>(longest * part(random)));
    kill(child, SIGKILL);
    const int status = wait(child);
    const int after = iteration_of(killed_run);
    EXPECT_GE(after, before) << "a saved iteration was lost";
    EXPECT_LE(others({uninterrupted, killed_run}), 1u) << "temporary files remain";
    if (WIFSIGNALED(status)) {
      ++killed;
      resumed += before > 0 && after > before ? 1 : 0;
      if (after == before) longest *= 1.1;
      continue;
    }
    EXPECT_EQ(status, 0);
    EXPECT_EQ(testing::read_file(killed_run), testing::read_file(uninterrupted));
    std::filesystem::remove(killed_run);  // start again from the beginning
    ++finished;
  }
  EXPECT_EQ(wait(start(killed_run)), 0);
  EXPECT_EQ(testing::read_file(killed_run), testing::read_file(uninterrupted));
  EXPECT_EQ(others({uninterrupted, killed_run}), 0u);
  EXPECT_GT(resumed, 0) << finished << " trainings finished";
}

}  // namespace
}  // namespace plasticity
