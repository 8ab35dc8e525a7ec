// A training that is killed (SIGKILL, which nothing can answer) at random moments, over and over, comes to
// the same bits as one that was left alone; whatever moment it was, the checkpoint on the disk is whole, and
// beside it there is at most the one file that was being written.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <thread>

#include "plasticity/io/safetensors.hpp"

extern char** environ;

namespace plasticity {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int iterations = 60, kills = 50;

class Interrupted : public ::testing::Test {
 protected:
  Interrupted() { std::filesystem::create_directories(folder); }
  ~Interrupted() override { std::filesystem::remove_all(folder); }

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

  /// The iteration that a checkpoint holds; loading it checks all of it.
  static int iteration_of(const std::filesystem::path& checkpoint) {
    return std::filesystem::exists(checkpoint) ? std::stoi(io::load(checkpoint).metadata.at("iteration")) : 0;
  }

  /// How many files there are beside these.
  std::size_t others(std::initializer_list<std::filesystem::path> known) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      count += std::find(known.begin(), known.end(), entry.path()) == known.end() ? 1 : 0;
    }
    return count;
  }

  static std::string bytes(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // In memory where there is such a place: a busy disk takes seconds to make sure of a file, and whether it
  // did is nothing that killing a process can show.
  static std::filesystem::path place() {
    const std::filesystem::path memory = "/dev/shm";
    return access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
  }
  const std::filesystem::path folder = place() / ("plasticity_interrupted_" + std::to_string(getpid()));
};

TEST_F(Interrupted, FiftyKillsAndTheSameBits) {
  const std::filesystem::path straight = folder / "straight.safetensors", torn = folder / "torn.safetensors";
  const Clock::time_point began = Clock::now();
  ASSERT_EQ(wait(start(straight)), 0);
  const std::chrono::duration<double> whole = Clock::now() - began;
  ASSERT_EQ(iteration_of(straight), iterations);

  std::mt19937 random(7);
  std::uniform_real_distribution<double> part(0, 1);
  double longest = std::min(whole.count() / 5, .3);  // seconds; grows where no checkpoint is reached
  int killed = 0, finished = 0, resumed = 0;
  while (killed < kills) {
    const int before = iteration_of(torn);
    const pid_t child = start(torn);
    std::this_thread::sleep_for(std::chrono::duration<double>(longest * part(random)));
    kill(child, SIGKILL);
    const int status = wait(child);
    const int after = iteration_of(torn);
    EXPECT_GE(after, before) << "work was lost that had been saved";
    EXPECT_LE(others({straight, torn}), 1u) << "temporary files pile up";
    if (WIFSIGNALED(status)) {
      ++killed;
      resumed += before > 0 && after > before ? 1 : 0;
      if (after == before) longest *= 1.1;
      continue;
    }
    EXPECT_EQ(status, 0);
    EXPECT_EQ(bytes(torn), bytes(straight));
    std::filesystem::remove(torn);  // and once more from the beginning
    ++finished;
  }
  EXPECT_EQ(wait(start(torn)), 0);
  EXPECT_EQ(bytes(torn), bytes(straight));
  EXPECT_EQ(others({straight, torn}), 0u);
  EXPECT_GT(resumed, 0) << finished << " trainings came to their end";
}

}  // namespace
}  // namespace plasticity
