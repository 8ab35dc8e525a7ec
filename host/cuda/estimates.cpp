#include "cuda/estimates.hpp"

#include <nlohmann/json.hpp>

#include "base/throw_error.hpp"

namespace plasticity::cuda {

DeviceLimits limits_of(const std::string& gpu) {
  constexpr std::int64_t MiB = 1 << 20, GiB = 1 << 30;
  // Clusters on an H200: as many as the measured times tell (2026-11-27). An H100 has the same processors.
  constexpr std::array<int, 4> clusters = {66, 30, 15, 7};
  if (gpu == "a100") return {108, 166912, 0, true, 40 * MiB, 40 * GiB, 1.55e6, {}};
  if (gpu == "h100") return {132, 232448, 16, true, 50 * MiB, 80 * GiB, 3.35e6, clusters};
  if (gpu == "h200") return {132, 232448, 16, true, 60 * MiB, 140 * GiB, 4.81e6, clusters};
  if (gpu == "b200") return {148, 232448, 16, true, 126 * MiB, 180 * GiB, 8.0e6, {}};
  bad_argument("gpu", "a100, h100, h200 or b200", gpu);
}

std::string run_estimates(const Spec& spec, const PlanOptions& options, const std::string& gpu) {
  spec.validate();
  const DeviceLimits limits = limits_of(gpu);
  const Sizes sizes{options.batch, options.steps, options.precision == Precision::bf16};
  const CostModel model(spec, sizes, limits, current_constants());
  const ExecutionChoice choice = choose_execution(
      spec, sizes, limits, planner_options(spec, options, limits, [&](std::int64_t interval) {
        return static_cast<std::size_t>(model.tape_bytes(interval));
      }));
  nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
  for (std::size_t k = 0; k < choice.candidates.size(); ++k) {
    const Candidate& candidate = choice.candidates[k];
    candidates.push_back({{"execution", to_string(candidate.execution)},
                          {"shape", describe_shape(candidate)},
                          {"checkpoint_interval", candidate.interval},
                          {"forward_us_per_step", candidate.estimate.forward},
                          {"backward_us_per_step", candidate.estimate.backward},
                          {"chosen", k == choice.index}});
  }
  return nlohmann::ordered_json{{"gpu", gpu}, {"candidates", candidates}}.dump();
}

}  // namespace plasticity::cuda
