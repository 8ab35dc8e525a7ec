#pragma once

#include <filesystem>

#include "tool/cli/images/trainer.hpp"

namespace plasticity::images {

/// The pictures seen, the cue, and what both networks make of it, for the first test episodes.
void draw_completions(Trainer& trainer, const std::filesystem::path& file);

/// Test error against iterations for both networks.
void draw_learning_curve(Trainer& trainer, const std::filesystem::path& file);

}  // namespace plasticity::images
