#pragma once

#include <CLI/CLI.hpp>

#include "plasticity/device.hpp"

// The commands of the plasticity tool. Each function adds a command to the command line. The command sets
// `exit_code` when it runs.
namespace plasticity::cli {

void add_info(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_time(CLI::App& app, int& exit_code);
void add_train(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);

/// Adds an option whose value must be the name of an enumerator. `value` is the default and receives the
/// choice.
template <class Enum>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Enum& value, const std::string& help);

/// Adds an option whose value must be a whole number from 0 to 2^64 - 1. `value` is the default and receives
/// the number.
CLI::Option* add_whole_number(CLI::App& app, const std::string& name, std::uint64_t& value,
                              const std::string& help);

/// Adds an option --seconds, a number from `min` to 3600.
CLI::Option* add_seconds(CLI::App& app, double& value, double min, const std::string& help);

/// Makes a value that begins with "--" an error, for all options of the commands: it is the next option,
/// after one whose value is missing.
void refuse_options_as_values(CLI::App& app);

/// Returns the device named best, cpu or cuda: `best` is a GPU if there is one. A CPU has `threads` threads
/// (0: the default).
Device device_of(const std::string& name, int threads);

/// As device_of(), for one of several ranks: the GPU of its local number, or its share of the threads.
Device device_of_rank(const std::string& name, int threads);

}  // namespace plasticity::cli
