#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/hash.hpp"
#include "base/throw_error.hpp"
#include "base/tree.hpp"
#include "communicator/gathered.hpp"
#include "network/trainer/implementation.hpp"

// An iteration of a trainer with several ranks.
namespace plasticity {
namespace {

/// The message of a rank to the others before an iteration.
struct RankSummary {
  std::uint64_t options, state;  // hashes of equal_numbers(): of all but those of rank 0, and of these
  double needs_broadcast;        // 0 or 1
  double divisor;                // this rank's part of the divisor of the loss
};

std::uint64_t hash_of(std::span<const RankNumber> numbers) {
  Hash hash;
  for (const RankNumber& number : numbers)
    hash.add({reinterpret_cast<const char*>(&number.value), sizeof number.value});
  return hash.value();
}

/// Throws Error(communication) unless the numbers of all ranks are equal. A collective call.
void compare(std::span<const RankNumber> numbers, Communicator& communicator) {
  std::vector<double> own;
  for (const RankNumber& number : numbers) own.push_back(number.value);
  const std::vector<double> all = gathered(std::span<const double>(own), communicator);
  for (std::size_t k = 0; k < all.size(); ++k) {
    const RankNumber& number = numbers[k % own.size()];
    const double want = all[k % own.size()], got = all[k];
    if (got == want) continue;
    const std::string name = str_cat(number.name, " of rank ", k / own.size());
    switch (number.kind) {
      case RankNumber::Kind::number:
        throw_error(ErrorCode::communication, name, str_cat(want, ", as on rank 0"), str_cat(got));
      case RankNumber::Kind::code: throw_error(ErrorCode::communication, name, "that of rank 0", "another");
      case RankNumber::Kind::codes: throw_error(ErrorCode::communication, name, "those of rank 0", "others");
    }
  }
}

/// The upper bits of a hash, which a double holds exactly.
double code_of(std::uint64_t hash) { return static_cast<double>(hash >> 11); }

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

/// Returns the numbers that the ranks compare before an iteration. `objective` is null for that of the
/// caller. The last three are those that rank 0 broadcasts.
std::vector<RankNumber> Trainer::Implementation::equal_numbers(const Objective* objective,
                                                               const OptimizerStep& it) const {
  const UpdateOptions& update = options.update;
  std::int64_t elements = 0;
  Hash parameters, groups, spec;
  for (std::size_t k = 0; k < it.trained.size(); ++k) {
    elements += it.trained[k].elements;
    parameters.add(str_cat(it.names[k], '\0', it.trained[k].elements, '\0'));
  }
  for (const ParameterGroup& group : options.groups) {
    for (const std::string& name : group.names) groups.add(str_cat(name, '\0'));
    groups.add(str_cat(group.learning_rate_factor, ' ', group.weight_decay, ' ', group.clip_norm, '\0'));
  }
  if (network != nullptr) spec.add(to_string(network->spec));
  const int kind = objective == nullptr          ? 0
                   : objective->labels           ? 1
                   : !objective->on_host()       ? 2
                   : objective->of_preactivation ? 3
                                                 : 4;
  constexpr RankNumber::Kind code = RankNumber::Kind::code, codes = RankNumber::Kind::codes;
  std::uint64_t values = 0;  // a GPU's are not compared
  if (network != nullptr && on_cpu()) values = network->parameters->checksum();
  for (const ParameterView& view : it.views) values = values * 31 + checksum<float>(view.value);
  return {{"number of trained parameters", static_cast<double>(it.trained.size())},
          {"number of trained elements", static_cast<double>(elements)},
          {"names of parameters", code_of(parameters.value()), codes},
          {"spec", code_of(spec.value()), code},
          {"kind of step", static_cast<double>(kind), code},
          {"reduction", static_cast<double>(reduction), code},
          {"optimizer's method", static_cast<double>(update.method), code},
          {"beta1", update.beta1},
          {"beta2", update.beta2},
          {"epsilon", update.epsilon},
          {"momentum", update.momentum},
          {"weight_decay", options.weight_decay},
          {"clip_norm", options.clip_norm},
          {"not_finite", static_cast<double>(options.not_finite), code},
          {"groups", code_of(groups.value()), codes},
          {"step count", static_cast<double>(steps)},
          {"learning rate", update.learning_rate},
          {"values of parameters", code_of(values), codes}};
}

/// Compares the ranks and broadcasts from rank 0 if a rank needs it. Returns the sum of the ranks' divisors.
double Trainer::Implementation::synchronize_ranks(const Objective* objective, double divisor,
                                                  const OptimizerStep& it) {
  constexpr std::size_t of_rank_0 = 3;  // broadcast by rank 0
  const std::vector<RankNumber> list = equal_numbers(objective, it);
  const std::span<const RankNumber> numbers = list, options_only = numbers.first(list.size() - of_rank_0);
  const RankSummary own{hash_of(options_only), hash_of(numbers.last(of_rank_0)), needs_broadcast ? 1.0 : 0.0,
                        divisor};
  const std::vector<RankSummary> all = gathered(std::span(&own, 1), *communicator);
  bool broadcasts = false, options_differ = false, state_differs = false;
  for (const RankSummary& rank : all) {
    broadcasts = broadcasts || rank.needs_broadcast != 0;
    options_differ = options_differ || rank.options != all[0].options;
    state_differs = state_differs || rank.state != all[0].state;
  }
  if (options_differ || (state_differs && !broadcasts))
    compare(broadcasts ? options_only : numbers, *communicator);
  if (broadcasts) broadcast_all(it);
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
    network->parameters->invalidate_host_copies();
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
  network->state.invalidate_host_copies();
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
  enqueue_backward(plan, it, stream);
  communicator->sum(std::span(&loss, 1));  // before the step: an error of this call leaves the parameters
  enqueue_optimizer_step(it, stream);
  if (it.divisor == 0) return 0;
  return it.entropy ? loss / it.divisor : loss * (1 / it.divisor);
}

}  // namespace plasticity
