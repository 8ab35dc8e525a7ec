#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "support/files.hpp"
#include "support/test_data.hpp"

// Runs the tool as a user does.
namespace plasticity {

struct Outcome {
  int exit_code;
  std::string output;  // stdout and stderr
};

inline Outcome run(const std::string& arguments) {
  const std::string command = std::string(PLASTICITY_TOOL_PATH) + " " + arguments + " 2>&1";
  Outcome outcome{-1, ""};
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), size);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

inline std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

inline bool has(const Outcome& outcome, const std::string& part) {
  return outcome.output.find(part) != std::string::npos;
}

/// Each test has its own folder, which is removed at the end.
class Tool : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder / name).string(); }

  const testing::TemporaryFolder folder;
  const std::string cases = testing::test_data() / "parity/";
};

}  // namespace plasticity
