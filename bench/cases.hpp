#pragma once

#include <plasticity/device_memory.hpp>
#include <plasticity/plasticity.hpp>
#include <string>
#include <vector>

namespace plasticity::bench {

/// One measured configuration.
struct Case {
  std::string group;  // experiments, sweep_N, sweep_B, sweep_T, cells
  Spec spec;
  std::int64_t batch, steps;
  // Target speed-up over PyTorch eager, forward and backward. 0: no target.
  double target = 0;
  Precision precision = Precision::f32;

  std::string name() const;  // "rnn_hard_clip_fan_out_N200_B30_T100"
};

/// The papers' experiments, sweeps over N, B and T, and each cell with each rule, rate and eligibility.
const std::vector<Case>& cases();

/// The cases as JSON for bench/run, with the options of `plasticity time` and of the peers.
std::string cases_as_json();

}  // namespace plasticity::bench
