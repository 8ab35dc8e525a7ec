#pragma once

#include <filesystem>

#include "tool/cli/images/experiment.hpp"

// Pictures of a training run, as PNG. Both functions need draw::available.
namespace plasticity::images {

/// Draws the first test episodes: the pictures seen, the cue, and the completions of both networks.
void draw_completions(Experiment& experiment, const std::filesystem::path& file);

/// Draws the test error of both networks against the iterations.
void draw_learning_curve(Experiment& experiment, const std::filesystem::path& file);

}  // namespace plasticity::images
