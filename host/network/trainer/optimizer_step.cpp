#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "base/throw_error.hpp"
#include "network/overlapping_views.hpp"
#include "network/trainer/implementation.hpp"

// The optimizer's part of a trainer's iteration, and the iteration of the caller's.
namespace plasticity {
namespace {

[[noreturn]] void throw_network_replaced() {
  throw Error(ErrorCode::invalid_argument,
              "trainer: its network has been destroyed, or another has been assigned to it");
}

}  // namespace

std::shared_ptr<Network::Implementation> Trainer::Implementation::hold_network() const {
  std::shared_ptr<Network::Implementation> held = life.lock();
  if (network != nullptr && held == nullptr) throw_network_replaced();
  return held;
}

void Trainer::Implementation::check_network_kept() const {
  if (network != nullptr && life.use_count() == 1) throw_network_replaced();  // only the call holds it
}

void Trainer::Implementation::make_results() {
  if (results.bytes() > 0) return;
  make_room(results, device, sizeof(Results));
  fill_zero(device, stream, results.data(), results.bytes());
}

/// Returns the parameters of all modules. Throws Error(invalid_argument) if a module occurs twice, shares
/// parameters with another, or two parameters have the same name or overlap.
std::vector<ParameterView> Trainer::Implementation::views_of_modules() const {
  struct Origin {
    std::size_t module;
    const float* value;
  };
  std::vector<ParameterView> all;
  std::map<std::string, Origin, std::less<>> seen;
  for (std::size_t k = 0; k < modules.size(); ++k) {
    for (ParameterView& view : modules[k].parameters()) {
      const auto [earlier, is_new] = seen.try_emplace(view.name, Origin{k, view.value.data()});
      if (!is_new) {
        const std::string module = str_cat("modules[", k, "]: "),
                          other = str_cat("modules[", earlier->second.module, "]");
        throw Error(ErrorCode::invalid_argument,
                    earlier->second.value == view.value.data()
                        ? str_cat(module, "has the parameters of ", other)
                        : str_cat(module, "has a parameter '", view.name, "', as ", other,
                                  " has. Give the modules different names"));
      }
      if (view.gradient.size() != view.value.size()) {
        bad_argument(str_cat("modules[", k, "]: parameter '", view.name, "'"),
                     str_cat("a gradient of ", view.value.size(), " elements"),
                     str_cat(view.gradient.size()));
      }
      all.push_back(std::move(view));
    }
  }
  if (const auto pair = overlapping_views(all, {&ParameterView::value, &ParameterView::gradient})) {
    const auto module_of = [&](const ParameterView& view) {
      return str_cat("modules[", seen.find(view.name)->second.module, "]");
    };
    const ParameterView &first = all[pair->first], &second = all[pair->second];
    throw Error(ErrorCode::invalid_argument, str_cat(module_of(second), ": parameter '", second.name,
                                                     "': overlaps '", first.name, "' of ", module_of(first)));
  }
  return all;
}

/// Returns the shape of a parameter, trainable or not, if there is one.
std::optional<Shape> Trainer::Implementation::shape_of(std::string_view name) const {
  if (network != nullptr) return network->parameters->shape_of(name);
  for (const Module& module : modules) {
    if (const std::optional<Shape> shape = module.shape_of(name)) return shape;
  }
  return std::nullopt;
}

/// Lists the trainable tensors.
void Trainer::Implementation::list_trained(OptimizerStep& it) const {
  if (network == nullptr) {
    it.views = views_of_modules();
    for (const ParameterView& view : it.views) {
      it.names.push_back(view.name);
      it.trained.push_back({.value = view.value.data(),
                            .gradient = view.gradient.data(),
                            .elements = static_cast<std::int64_t>(view.value.size())});
    }
  } else {
    for (const auto& [name, tensor] : network->parameters->trained()) {
      it.names.push_back(name);
      it.trained.push_back(tensor);
    }
  }
}

void Trainer::Implementation::check_groups() const {
  OptimizerStep it;
  list_trained(it);
  check_group_names(options, it.names, [&](std::string_view name) { return shape_of(name).has_value(); });
}

/// Throws if the caller's iteration has changed the list of trainable tensors, whose gradients were set to
/// zero before it.
void Trainer::Implementation::check_trained(const OptimizerStep& it) const {
  OptimizerStep now;
  list_trained(now);
  if (now.names != it.names) {
    throw Error(ErrorCode::invalid_argument,
                "iteration: has frozen or unfrozen a parameter. Call set_trainable() between steps");
  }
}

/// Lists the trainable tensors with their moments. Moments that do not exist yet are created in
/// `new_moments`, as zeros.
void Trainer::Implementation::collect_trained(OptimizerStep& it, MomentsByName& new_moments) {
  list_trained(it);
  for (std::size_t k = 0; k < it.trained.size(); ++k) {
    auto found = moments.find(it.names[k]);
    if (found == moments.end()) {
      const std::int64_t elements = it.trained[k].elements;
      found = new_moments.try_emplace(std::string(it.names[k]), options.update, device, elements).first;
      for (const DeviceMemory* each : {&found->second.first, &found->second.second}) {
        if (each->bytes() > 0) fill_zero(device, stream, each->data(), each->bytes());
      }
    }
    it.trained[k].first = static_cast<float*>(found->second.first.data());
    it.trained[k].second = static_cast<float*>(found->second.second.data());
  }
  apply_groups(options, it.names, it.trained);
  it.clipped = clipped_groups(options, it.names, it.trained);
}

void Trainer::Implementation::zero_gradients(const OptimizerStep& it) const {
  if (network != nullptr) return network->parameters->zero_gradients();
  for (const ParameterView& view : it.views) std::fill(view.gradient.begin(), view.gradient.end(), 0.0f);
}

/// Enqueues the part of an iteration after the gradients of this rank.
void Trainer::Implementation::enqueue_optimizer_step(const OptimizerStep& it, Stream on) const {
  if (has_ranks() && network == nullptr) {
    all_reduce(*communicator, it.views);
  } else if (has_ranks()) {
    communicator->sum(device, on, static_cast<float*>(network->parameters->gradient_data()),
                      static_cast<std::int64_t>(network->parameters->gradient_bytes() / sizeof(float)));
  }
  find_not_finite(device, on, it.trained, &it.results->not_finite);
  for (const ClippedGroup& group : it.clipped) {
    double* const norm = group.is_named ? nullptr : &it.results->gradient_norm;
    clip_gradients(device, on, group.tensors, group.max_norm, norm, it.scratch);
  }
  update_step(device, on, it.trained, options.update, it.scales, &it.results->not_finite);
}

/// Tells the modules that their values and gradients have changed.
void Trainer::Implementation::invalidate_host_copies(const OptimizerStep& it) const {
  if (network != nullptr) return network->parameters->invalidate_host_copies();
  for (const ParameterView& view : it.views) {
    if (view.version != nullptr) ++*view.version;
  }
}

/// Downloads the results, counts the step, and returns the loss: `loss` if the host has it. Throws if a
/// gradient is not finite and the options demand it.
double Trainer::Implementation::finish_step(const OptimizerStep& it, std::optional<double> loss) {
  Results host{};
  copy(device, stream, &host, it.results, sizeof(host));
  const auto is_unnamed = [](const ClippedGroup& group) { return !group.is_named; };
  const bool has_norm = std::any_of(it.clipped.begin(), it.clipped.end(), is_unnamed);
  gradient_norm =
      has_norm && host.not_finite < 0 ? host.gradient_norm : std::numeric_limits<double>::quiet_NaN();
  if (host.not_finite >= 0 && options.not_finite == NotFinite::fail) {
    throw_not_finite(it.names[static_cast<std::size_t>(host.not_finite)]);
  }
  ++(host.not_finite >= 0 ? skipped : steps);
  return loss.value_or(host.loss);
}

/// Throws if a module has a window, whose gradient would be missing.
void Trainer::Implementation::check_windows() const {
  const auto check = [](const std::string& module, std::int64_t windows) {
    if (windows > 0)
      bad_argument("iteration", str_cat("backward() for every window of ", module),
                   str_cat(windows, windows == 1 ? " window" : " windows", " without it"));
  };
  if (network != nullptr) return check("the network", static_cast<std::int64_t>(network->windows.count()));
  for (std::size_t k = 0; k < modules.size(); ++k) check(str_cat("modules[", k, "]"), modules[k].windows());
}

double Trainer::Implementation::step(const IterationFunction& iteration) {
  const std::shared_ptr<Network::Implementation> held = hold_network();
  if (!iteration) bad_argument("iteration", "a function", "none");
  const UseGuard::Exclusive step(guard, in_use);
  // Held while this call works on the network. `iteration` calls the network too.
  using Call = Network::Implementation::Call;
  const auto hold = [&] {
    return network == nullptr ? nullptr : std::make_unique<Call>(*network, ParameterAccess::write);
  };
  std::unique_ptr<Call> call = hold();  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): it has an owner
  if (network != nullptr) {             // uploads changes of the caller
    network->parameters->values();
    network->parameters->gradients();
  }
  y.remove();
  modulation.remove();
  make_results();
  make_room(optimizer_scratch, device, training_scratch_bytes(device));
  OptimizerStep it;
  it.scratch = optimizer_scratch.as<Scratch>();
  it.results = device_results();
  MomentsByName new_moments;
  collect_trained(it, new_moments);
  if (has_ranks()) {
    synchronize_ranks(nullptr, 0, it);
    moments.merge(new_moments);  // which now have the values of rank 0
  }
  zero_gradients(it);

  call.reset();
  double loss = iteration();
  check_network_kept();
  check_windows();
  check_trained(it);
  if (has_ranks()) communicator->sum(std::span(&loss, 1));
  call = hold();

  if (network != nullptr) {
    network->parameters->values();
    network->parameters->gradients();
  }
  UpdateScales scales = update_scales(options.update, steps + 1);
  it.scales = &scales;
  Staging staging(device, stream, inputs, upload);
  staging.read(it.scales, 1);
  staging.send();
  enqueue_optimizer_step(it, stream);
  invalidate_host_copies(it);
  moments.merge(new_moments);
  return finish_step(it, loss);
}

}  // namespace plasticity
