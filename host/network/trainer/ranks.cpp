#include <algorithm>
#include <vector>

#include "base/throw_error.hpp"
#include "base/tree.hpp"
#include "network/trainer/implementation.hpp"

// An iteration of a trainer with several ranks.
namespace plasticity {
namespace {

/// The numbers that every rank sends to the others before an iteration.
struct RankSummary {
  double needs_broadcast;       // 0 or 1
  double tensors, elements;     // of the trained parameters
  double steps, learning_rate;  // of the optimizer
  double divisor;               // this rank's part of the divisor of the loss
};

void check_equal(const char* of, const std::vector<RankSummary>& all, double RankSummary::*member) {
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r].*member == all[0].*member) continue;
    throw_error(ErrorCode::communication, str_cat(of, " of rank ", r),
                str_cat(all[0].*member, ", as on rank 0"), str_cat(all[r].*member));
  }
}

}  // namespace

double local_divisor(const Objective& objective, const SquaredErrorArgs& error, std::int64_t neurons) {
  if (objective.function != nullptr) return 0;
  if (objective.labels) {
    const std::span<const std::int64_t> labels = *objective.labels;
    return static_cast<double>(
        std::count_if(labels.begin(), labels.end(), [](auto label) { return label >= 0; }));
  }
  const std::int64_t B = error.batch, T = error.steps;
  return tree_total<double>(0, error.elements == 0 ? 0 : B, [&](std::int64_t b) {
    double part = 0;
    for (std::int64_t t = 0; t < T; ++t) {
      const auto first = static_cast<std::size_t>((t * B + b) * neurons);
      for (std::size_t k = first; k < first + static_cast<std::size_t>(neurons); ++k) {
        if (!objective.mask.empty() && objective.mask[k] == 0) continue;
        const auto target = static_cast<double>(objective.target[k]);
        part += error.reduction == Reduction::relative ? target * target : 1;
      }
    }
    return part;
  });
}

/// Compares the ranks and broadcasts from rank 0 if a rank needs it. Returns the sum of the ranks' divisors.
double Trainer::Implementation::synchronize_ranks(double divisor, const OptimizerStep& it) {
  const auto size = static_cast<std::size_t>(communicator->size());
  std::vector<RankSummary> all(size);
  std::int64_t elements = 0;
  for (const TrainedTensor& tensor : it.trained) elements += tensor.elements;
  all[static_cast<std::size_t>(communicator->rank())] = {.needs_broadcast = needs_broadcast ? 1.0 : 0.0,
                                                         .tensors = static_cast<double>(it.trained.size()),
                                                         .elements = static_cast<double>(elements),
                                                         .steps = static_cast<double>(steps),
                                                         .learning_rate = options.update.learning_rate,
                                                         .divisor = divisor};
  std::vector<std::int64_t> first(size + 1);
  for (std::size_t r = 0; r <= size; ++r) first[r] = static_cast<std::int64_t>(r);
  communicator->all_gather(std::span(all), first);
  check_equal("number of trained parameters", all, &RankSummary::tensors);
  check_equal("number of trained elements", all, &RankSummary::elements);
  if (std::any_of(all.begin(), all.end(),
                  [](const RankSummary& rank) { return rank.needs_broadcast != 0; })) {
    broadcast_all(it);
  } else {
    check_equal("step count", all, &RankSummary::steps);
    check_equal("learning rate", all, &RankSummary::learning_rate);
  }
  return tree_total<double>(0, communicator->size(),
                            [&](std::int64_t r) { return all[static_cast<std::size_t>(r)].divisor; });
}

/// Copies the values, the moments, the step count and the learning rate from rank 0.
void Trainer::Implementation::broadcast_all(const OptimizerStep& it) {
  const auto broadcast_block = [&](void* data, std::size_t bytes) {
    if (bytes == 0) return;
    if (on_cpu()) return communicator->broadcast(std::span(static_cast<std::byte*>(data), bytes));
    std::vector<std::byte> on_host(bytes);
    copy(device, stream, on_host.data(), data, bytes);
    communicator->broadcast(std::span(on_host));
    copy(device, stream, data, on_host.data(), bytes);
  };
  if (network == nullptr) {
    broadcast(*communicator, it.views);
  } else {
    network->parameters->values();  // uploads host copies that are newer
    broadcast_block(network->parameters->value_data(), network->parameters->value_bytes());
    network->parameters->step_written();
  }
  for (const TrainedTensor& tensor : it.trained) {
    const auto bytes = static_cast<std::size_t>(tensor.elements) * sizeof(float);
    broadcast_block(tensor.first, tensor.first == nullptr ? 0 : bytes);
    broadcast_block(tensor.second, tensor.second == nullptr ? 0 : bytes);
  }
  struct {
    std::int64_t steps, skipped;
    double learning_rate;
  } counts{steps, skipped, options.update.learning_rate};
  communicator->broadcast(std::span(&counts, 1));
  steps = counts.steps;
  skipped = counts.skipped;
  options.update.learning_rate = counts.learning_rate;
  needs_broadcast = false;
}

/// Runs the iteration with the samples of this rank. Returns the loss of the global batch.
double Trainer::Implementation::run_on_ranks(const Objective& objective, const Plan& plan,
                                             const Iteration& it) {
  plan.forward(stream, it.forward, it.tape, it.scratch);
  network->state.values_written();
  double loss = 0;  // of this rank, before the division
  if (objective.on_host()) {
    loss = host_loss(objective, it);
  } else if (it.entropy) {
    CrossEntropyArgs entropy = *it.entropy;
    entropy.dlogits = nullptr;
    entropy.divisor = 1;
    softmax_cross_entropy(device, stream, entropy, it.scratch);
    copy(device, stream, &loss, entropy.loss, sizeof(loss));
    entropy.dlogits = it.entropy->dlogits;
    entropy.loss = nullptr;
    entropy.divisor = it.divisor;
    softmax_cross_entropy(device, stream, entropy, it.scratch);
  } else {
    SquaredErrorArgs error = it.error;
    error.reduction = Reduction::sum;
    error.dy = nullptr;
    squared_error(device, stream, error, it.scratch);
    copy(device, stream, &loss, error.loss, sizeof(loss));
    error.dy = it.error.dy;
    error.loss = nullptr;
    error.divisor = it.divisor;
    squared_error(device, stream, error, it.scratch);
  }
  enqueue_training(plan, it, stream);
  communicator->sum(std::span(&loss, 1));
  if (it.divisor == 0) return 0;
  return it.entropy ? loss / it.divisor : loss * (1 / it.divisor);
}

}  // namespace plasticity
