#include "cuda/cost_model.hpp"

#include <algorithm>
#include <cmath>

#include "replay/launch.hpp"
#include "rules/factors.hpp"
#include "step/launch.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {
namespace {

constexpr int schedulers = 4;             // of a multiprocessor; each issues one warp instruction per clock
constexpr int threads_at_once = 2048;     // per multiprocessor
constexpr int reserved_shared = 1024;     // bytes of shared memory that CUDA reserves per block
constexpr int launches_beside = 3;        // forward: the state, the input currents, the last update
constexpr int launches_after = 8;         // backward: products and sums
constexpr double blocks_exponent = 0.65;  // so n blocks of a multiprocessor take n^0.65 times as long
constexpr double trace_value = 4;         // bytes; of a gradient too
constexpr double rounded_value = 2;       // bytes on a bfloat16 tape
constexpr double gate_bytes = 12;         // of an LSTM's gate weights per connection
/// A step kernel with one column per thread, relative to four (counted for hard_clip, in both directions).
constexpr double narrow = 1.9;
/// A row of an LSTM in a step kernel, relative to that of another cell: it loads the weights of three gates
/// too.
constexpr double lstm_loads = 4;
constexpr double loads_in_flight = 4;  // of a thread, from L2

double ceil_div(double a, double b) { return std::ceil(a / b); }

/// The time of work that is bound by several things, which overlap only partly: between the longest of the
/// times and their sum.
double overlapped(std::initializer_list<double> times) {
  double squares = 0;
  for (const double time : times) squares += time * time;
  return std::sqrt(squares);
}

bool counts_one_column(const GroupShape& shape) { return shape.traits().columns == 1; }

}  // namespace

/// One kernel of a step: per connection of the batch, and per thread.
struct CostModel::Pass {
  double instructions;            // per connection
  int rows;                       // that a thread loads before it computes
  int elements;                   // per block
  double outside;                 // µs before and after the pass
  double l2_bytes, memory_bytes;  // per connection, beside w and alpha
};

/// One direction of a resident execution.
struct CostModel::Resident {
  const GroupShape& shape;
  double groups;                  // at once
  double instructions;            // per connection
  double rate;                    // of instructions, of a multiprocessor
  double outside;                 // µs per step
  double l2_bytes, memory_bytes;  // per connection and step
  double waits;                   // for L2 in a pass
  double barriers;                // of the group per step
};

CostModel::CostModel(const Spec& spec, Sizes sizes, const DeviceLimits& limits,
                     const DeviceConstants& constants)
    : spec_(spec),
      sizes_(sizes),
      limits_(limits),
      constants_(constants),
      counts_(instructions_of(form_of(spec.rule), spec.has_eligibility())),
      N_(static_cast<double>(spec.neurons)),
      P_(static_cast<double>(std::max<std::int64_t>(spec.presynaptic(), 1))),
      B_(static_cast<double>(std::max<std::int64_t>(sizes.B, 1))),
      connections_(B_ * P_ * N_),
      traces_(!spec.is_plastic()       ? 0
              : spec.has_eligibility() ? 2
                                       : 1),
      trace_bytes_(trace_value * traces_ * connections_) {}

double CostModel::per_sequence(double time) const {
  return time / static_cast<double>(std::max<std::int64_t>(sizes_.T, 1));
}

bool CostModel::stays(double bytes) const { return bytes <= static_cast<double>(limits_.l2_bytes); }

double CostModel::tape_bytes(std::int64_t K) const {
  return trace_bytes_ * (sizes_.bf16 ? rounded_value / trace_value : 1) *
         ceil_div(static_cast<double>(std::max<std::int64_t>(sizes_.T, 1)), static_cast<double>(K));
}

double CostModel::from_l2(double bytes, double multiprocessors) const {
  return bytes / (constants_.l2_rate * std::min<double>(multiprocessors, limits_.multiprocessors));
}

double CostModel::issue(double instructions) const {
  return connections_ * instructions / 32 / (constants_.issue_rate * limits_.multiprocessors);
}

double CostModel::from_memory(double bytes) const {
  return bytes / (constants_.memory_share * limits_.memory_rate);
}

/// Each block adds up the modulator's inputs from all neurons of an element.
double CostModel::modulator() const { return spec_.has_modulator() ? N_ * constants_.modulator : 0; }

double CostModel::step_kernel(const Pass& pass) const {
  const int V = columns_per_thread();
  const double element_groups = ceil_div(B_, pass.elements), blocks = element_groups * tiles();
  const double waves = ceil_div(blocks, double{forward_blocks} * limits_.multiprocessors);
  const double rows = ceil_div(P_, double{block_threads} * V / tile_columns);  // of a thread
  const double loads = spec_.cell == Cell::lstm ? lstm_loads : 1;
  const double waiting = waves * (ceil_div(rows, pass.rows) * constants_.step_wait +
                                  rows * pass.elements * loads * constants_.step_row);
  const double weights = element_groups * P_ * N_ * weight_bytes();
  return pass.outside + modulator() +
         overlapped({waiting, issue(pass.instructions),
                     from_l2(connections_ * pass.l2_bytes + weights, limits_.multiprocessors),
                     from_memory(connections_ * pass.memory_bytes)});
}

int CostModel::columns_per_thread() const { return spec_.neurons % wide_columns == 0 ? wide_columns : 1; }

double CostModel::tiles() const { return ceil_div(N_, tile_columns); }

double CostModel::weight_bytes() const {
  return trace_value * (spec_.alpha == Granularity::connection ? 2 : 1) +
         (spec_.cell == Cell::lstm ? gate_bytes : 0);
}

int CostModel::elements(bool rounds) const {
  StepParams params{};
  params.B = sizes_.B;
  params.tiles = static_cast<int>(tiles());
  params.eligibility = spec_.eligibility;
  return elements_per_block(params, columns_per_thread() > 1 && !rounds, limits_.multiprocessors);
}

double CostModel::replay_of_alpha() const {
  if (spec_.alpha != Granularity::connection) return 0;
  const std::int64_t P = spec_.presynaptic(), groups = replay_groups(sizes_.B, spec_.neurons, P);
  const double instructions = counts_.replay[sizes_.bf16 ? 1 : 0];
  const double blocks = static_cast<double>(replay_blocks(groups, spec_.neurons, P));
  const double waves = ceil_div(blocks, double{forward_blocks} * limits_.multiprocessors);
  // A replay's rate of instructions is that of the replays in a resident kernel.
  const double rate = constants_.resident_backward_rate;
  return overlapped({issue(instructions) * constants_.issue_rate / rate,
                     waves * ceil_div(B_, static_cast<double>(groups)) * instructions * replayed_connections *
                         constants_.warp_gap});
}

double CostModel::replay_of_segments(std::int64_t K) const {
  if (K == 1) return 0;
  const double steps = static_cast<double>(K);
  const double bytes = trace_bytes_ * (1 + 1 / steps);
  const double moved =
      stays(trace_bytes_ * (steps + 1)) ? from_l2(bytes, limits_.multiprocessors) : from_memory(bytes);
  return overlapped({moved, issue(counts_.segment)}) + constants_.kernel_gap / steps;
}

Estimate CostModel::of_steps(bool graph, std::int64_t K) const {
  const double steps = static_cast<double>(K);
  const bool lstm = spec_.cell == Cell::lstm, softmax = spec_.activation == Activation::softmax;
  const bool rounds = sizes_.bf16 && K == 1, tape_stays = stays(tape_bytes(K));
  const double recorded = (sizes_.bf16 ? rounded_value : trace_value) * traces_;  // per connection
  const double trace = trace_value * traces_;
  const int shared = elements(rounds), V = columns_per_thread();

  const double* forward_counts = counts_.step_forward[lstm];
  const double rounding = sizes_.bf16 ? (forward_counts[1] - forward_counts[0]) / steps : 0;
  const double in_place = stays(trace_bytes_) ? 0 : 2 * trace;
  const Pass forward{.instructions = (forward_counts[0] + rounding) * (V == 1 ? narrow : 1),
                     .rows = rounds ? 1 : rows_loaded_forward(spec_.eligibility, V, shared),
                     .elements = shared,
                     .outside = constants_.step_forward_outside,
                     .l2_bytes = 2 * trace + (sizes_.bf16 ? recorded / steps : 0),
                     .memory_bytes = std::max(in_place, tape_stays ? 0 : recorded / steps)};
  // The gradient of the trace is read and written. H comes from the tape, or from the replayed segment.
  const bool all_stays = stays(trace_bytes_ * (K == 1 ? 1 : 1 + steps));
  const double read = K == 1 && sizes_.bf16 ? 2 * recorded : trace;
  const double read_from_memory = K == 1 ? (tape_stays ? 0 : read) : (all_stays ? 0 : read);
  const Pass backward{.instructions = counts_.step_backward[lstm][rounds] * (V == 1 ? narrow : 1),
                      .rows = rows_loaded_backward(spec_.eligibility, !rounds, V, shared),
                      .elements = shared,
                      .outside = constants_.step_backward_outside,
                      .l2_bytes = 2 * trace + read,
                      .memory_bytes = (all_stays ? 0 : 2 * trace) + read_from_memory};

  const double finish = softmax ? constants_.step_forward_outside : 0;
  const auto launched = [&](double kernels, double launches, double beside) {
    const double launches_once =
        graph ? beside * constants_.kernel_gap + constants_.graph_launch : beside * constants_.launch;
    const double once = launches_once + from_memory(2 * trace_bytes_);  // the state before and after
    const double in_stream =
        std::max(kernels + launches * constants_.stream_gap, launches * constants_.launch);
    return (graph ? kernels : in_stream) + per_sequence(once);
  };
  return {.forward = launched(step_kernel(forward) + finish, softmax ? 2 : 1, launches_beside),
          .backward = launched(step_kernel(backward) + replay_of_segments(K), K == 1 ? 1 : 1 + 1 / steps,
                               launches_after + 1) +
                      replay_of_alpha()};
}

double CostModel::clusters_at_once(int blocks) const {
  std::size_t k = 0;
  while (k + 1 < limits_.clusters.size() && (2 << k) < blocks) ++k;
  const double room = std::floor(double(limits_.multiprocessors) / blocks);
  return limits_.clusters[k] > 0 ? std::min<double>(limits_.clusters[k], room) : room;
}

double CostModel::groups_at_once(const GroupShape& shape, double shared_bytes) const {
  const double threads = shape.threads();
  const double by_registers = std::floor(
      max_threads(shape.thread, form_of(spec_.rule), spec_.has_eligibility(), sizes_.bf16) / threads);
  const double by_shared = std::floor((static_cast<double>(limits_.shared_bytes) + reserved_shared) /
                                      (shared_bytes + reserved_shared));
  const double blocks = shape.kind == GroupKind::grid
                            ? 1
                            : std::min({by_registers, by_shared, std::floor(threads_at_once / threads)});
  const double room = shape.kind == GroupKind::cluster
                          ? clusters_at_once(shape.blocks) * std::max(blocks, 1.0)
                          : std::floor(limits_.multiprocessors * std::max(blocks, 1.0) / shape.blocks);
  return std::clamp(room, 1.0, B_);
}

double CostModel::resident_steps(const Resident& run) const {
  const GroupShape& shape = run.shape;
  const double running = run.groups * shape.blocks;
  const double connections = static_cast<double>(shape.rows) * shape.traits().columns;  // per thread
  const double instructions = connections * run.instructions, warps = shape.threads() / 32;
  // The blocks of a multiprocessor share its issue slots, and hide part of each other's waits.
  const double blocks = ceil_div(running, limits_.multiprocessors), work = warps * instructions;
  const double pass = std::pow(blocks, blocks_exponent) * work / run.rate + run.waits * constants_.l2_latency;
  const double issue = blocks * work / constants_.issue_rate;
  const double share = run.groups * P_ * N_;  // connections in progress
  return ceil_div(B_, run.groups) *
         (run.outside + modulator() + run.barriers * barrier(shape) +
          overlapped({std::max(pass, issue), from_l2(share * run.l2_bytes, running),
                      from_memory(share * run.memory_bytes)}));
}

double CostModel::barrier(const GroupShape& shape) const {
  switch (shape.kind) {
    case GroupKind::cta: return 0;  // of the block, among the work outside the pass
    case GroupKind::cluster: return constants_.cluster_barrier;
    case GroupKind::grid: break;
  }
  return constants_.grid_barrier;
}

Estimate CostModel::of_resident(const ResidentShape& shape, std::int64_t K) const {
  const double steps = static_cast<double>(K), trace = trace_value * traces_;
  const bool lstm = spec_.cell == Cell::lstm, softmax = spec_.activation == Activation::softmax;
  const bool tape_stays = stays(tape_bytes(K)), one = counts_one_column(shape.group);
  const double recorded = (sizes_.bf16 ? rounded_value : trace_value) * traces_ / steps;
  const auto gates = [&](const double(&counts)[2][2]) { return lstm ? counts[1][0] - counts[0][0] : 0; };
  const double waits_for_gates = lstm ? 3 * ceil_div(shape.group.rows, shape.group.traits().classes) : 0;
  const double gates_of_l2 = lstm ? gate_bytes : 0;
  // Both directions have as many groups, so that they can share memory.
  const double groups =
      groups_at_once(shape.group, static_cast<double>(std::max(shape.forward_bytes, shape.backward_bytes)));
  const double rounding = sizes_.bf16 ? (counts_.step_forward[0][1] - counts_.step_forward[0][0]) / steps : 0;
  const Resident forward{
      .shape = shape.group,
      .groups = groups,
      .instructions = counts_.resident_forward[one] + gates(counts_.step_forward) + rounding,
      .rate = constants_.resident_forward_rate,
      .outside = constants_.resident_forward_outside,
      .l2_bytes = recorded + gates_of_l2,
      .memory_bytes = tape_stays ? 0 : recorded,
      .waits = waits_for_gates,
      .barriers = 1};
  // The replayed segment of each element in progress is written and read once per step.
  const bool segment_stays = stays(trace_bytes_ * groups / B_ * (steps + 1));
  const double replays = ceil_div(steps, replayed_steps) * replayed_steps / steps;
  const Resident backward{.shape = shape.group,
                          .groups = groups,
                          .instructions = counts_.resident_backward[one] + counts_.segment * replays +
                                          gates(counts_.step_backward),
                          .rate = constants_.resident_backward_rate,
                          .outside = constants_.resident_backward_outside,
                          .l2_bytes = 2 * trace + recorded + gates_of_l2,
                          .memory_bytes = (segment_stays ? 0 : 2 * trace) + (tape_stays ? 0 : recorded),
                          .waits = waits_for_gates + ceil_div(shape.group.backward_chunks(), loads_in_flight),
                          .barriers = softmax ? 2.0 : 1.0};
  const double loads =
      from_l2(weight_bytes() * P_ * N_ * groups, limits_.multiprocessors) + from_memory(2 * trace_bytes_);
  const auto once = [&](double launches) { return per_sequence(launches * constants_.launch + loads); };
  const bool replays_alpha = !shape.group.sums_alpha && spec_.alpha == Granularity::connection;
  return {.forward = resident_steps(forward) + once(2),
          .backward = resident_steps(backward) + once(launches_after + (replays_alpha ? 2 : 1)) +
                      (replays_alpha ? replay_of_alpha() : 0)};
}

}  // namespace plasticity::cuda
