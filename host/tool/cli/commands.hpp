#pragma once

#include <CLI/CLI.hpp>

#include "plasticity/device.hpp"

// The commands of the plasticity tool. Each adds itself to the command line and, when chosen, sets
// `exit_code`.
namespace plasticity::cli {

void add_info(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_time(CLI::App& app, int& exit_code);
void add_train(CLI::App& app, int& exit_code);

/// An option that must name an enumerator of Enum; `value` is its default.
template <class Enum>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Enum& value, const std::string& help);

/// The device of that name: best, cpu or cuda.
Device device_of(const std::string& name, int threads);

}  // namespace plasticity::cli
