#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace plasticity::cli {

/// Returns the message for the first argument that stands for a command and is unknown, with the command that
/// is nearest in spelling. Empty if there is no such argument.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv);

}  // namespace plasticity::cli
