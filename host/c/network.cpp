#include "c/network.hpp"

#include <algorithm>

#include "c/spec.hpp"
#include "check/arguments.hpp"

namespace plasticity::c {
namespace {

std::vector<std::int64_t> dimensions(const Shape& shape) {
  return {shape.size.begin(), shape.size.begin() + shape.rank};
}

/// Takes the inputs of T steps, or their gradients, as views.
template <class Element, class Views, class Real>
void take_inputs(Arguments& arguments, const char* group, const BasicNetwork<Real>& network,
                 std::int64_t steps, Views& views) {
  const Spec& spec = network.spec();
  const std::int64_t T = steps, B = network.batch();
  Inputs<Element> inputs;
  arguments.take_group(spec, T, B, group, inputs);
  views.x = span_of(inputs.x, T * B * spec.inputs);
  views.u = span_of(inputs.u, T * B * spec.gates() * spec.neurons);
  views.pre = span_of(inputs.pre, T * B * spec.inputs);
  views.rate = span_of(inputs.rate, T * B * spec.neurons);
}

plasticity_status run(plasticity_network* handle, std::int64_t steps, const plasticity_argument* list,
                      std::size_t count, bool records) {
  return guarded([&] {
    plasticity_network& owner = not_null(handle, "network");
    const HandleCall call(owner);
    owner.visit([&]<class Real>(BasicNetwork<Real>& network) {
      Arguments arguments(list, count, Device::cpu(1));
      const BasicSequence<Real> sequence = take_sequence(arguments, network, steps);
      const RequestedOutputs<Real> outputs(arguments, network, steps);
      Real* const a = take_preactivation(arguments, network, steps);
      arguments.check_all_used();
      owner.recorded.reserve(owner.recorded.size() + 1);
      const std::span<const Real> y = records ? network.forward(sequence) : network.infer(sequence);
      if (records) owner.recorded.push_back(steps);
      copy_to(outputs.y, y);
      copy_to(outputs.modulation, network.modulation());
      copy_to(a, network.preactivation());
    });
  });
}

}  // namespace

template <class Real>
BasicSequence<Real> take_sequence(Arguments& arguments, const BasicNetwork<Real>& network,
                                  std::int64_t steps) {
  check_sizes(network.spec(), steps, network.batch());
  const std::int64_t T = steps, B = network.batch(), N = network.spec().neurons;
  BasicSequence<Real> sequence{.steps = steps};
  take_inputs<const Real>(arguments, "inputs", network, steps, sequence);
  const Shape rows{{T, B}, 2}, all{{T, B, N}, 3};
  sequence.reset = span_of(arguments.take<const std::uint8_t>("masks.reset", rows), T * B);
  sequence.length = span_of(arguments.take<const std::int64_t>("masks.length", Shape{{B}, 1}), B);
  sequence.clamp = span_of(arguments.take<const std::uint8_t>("masks.clamp", all), T * B * N);
  sequence.clamp_value = span_of(arguments.take<const Real>("masks.clamp_value", all), T * B * N);
  return sequence;
}

template <class Real>
RequestedOutputs<Real>::RequestedOutputs(Arguments& arguments, const BasicNetwork<Real>& network,
                                         std::int64_t steps) {
  const std::int64_t T = steps, B = network.batch(), N = network.spec().neurons;
  y = arguments.take<Real>("y", Shape{{T, B, N}, 3});
  modulation = arguments.take<Real>("modulation", Shape{{T, B}, 2});
  if (modulation != nullptr && !network.spec().has_modulator()) {
    bad_argument("modulation", "no tensor, because the network has no modulator", "a tensor");
  }
}

template <class Real>
Real* take_preactivation(Arguments& arguments, const BasicNetwork<Real>& network, std::int64_t steps) {
  auto* const a = arguments.take<Real>("a", Shape{{steps, network.batch(), network.spec().neurons}, 3});
  if (a != nullptr && !network.options().preactivation) {
    bad_argument("a", "no tensor, because options.preactivation is 0", "a tensor");
  }
  return a;
}

template <class Real>
void list_parameters(const std::vector<BasicParameterView<Real>>& views, Shapes& shapes,
                     plasticity_parameter* parameters, std::size_t capacity, std::size_t* count) {
  not_null(count, "count") = views.size();
  if (capacity < views.size())
    bad_argument("capacity", str_cat("at least ", views.size()), str_cat(capacity));
  for (std::size_t k = 0; k < views.size(); ++k) {
    const BasicParameterView<Real>& view = views[k];
    const auto& [name, shape] = *shapes.try_emplace(view.name, dimensions(view.shape)).first;
    (&not_null(parameters, "parameters"))[k] = {
        name.c_str(), host_view(view.value.data(), dtype_of<Real>(), shape),
        host_view(view.gradient.data(), dtype_of<Real>(), shape), view.version};
  }
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot be in parentheses.
#define PLASTICITY_INSTANTIATE(Real)                                                               \
  template BasicSequence<Real> take_sequence(Arguments&, const BasicNetwork<Real>&, std::int64_t); \
  template struct RequestedOutputs<Real>;                                                          \
  template Real* take_preactivation(Arguments&, const BasicNetwork<Real>&, std::int64_t);          \
  template void list_parameters(const std::vector<BasicParameterView<Real>>&, Shapes&,             \
                                plasticity_parameter*, std::size_t, std::size_t*);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
#undef PLASTICITY_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

NetworkOptions to_options(const plasticity_network_options& from) {
  return {.batch = from.batch,
          .device = to_device(from.device, from.threads, "options.device"),
          .precision = to_precision(from.precision),
          .seed = from.seed,
          .checkpoint_interval = from.checkpoint_interval,
          .memory_budget = from.memory_budget,
          .execution = to_execution(from.execution),
          .stream = {static_cast<CUstream_st*>(from.stream)},
          .name = from.name == nullptr ? "" : from.name,
          .preactivation = from.preactivation != 0};
}

std::vector<ParameterView> to_views(const plasticity_parameter* parameters, std::size_t count) {
  if (count > 0 && parameters == nullptr) bad_argument("parameters", str_cat("a list of ", count), "null");
  check_count("parameters", count);
  std::vector<ParameterView> views;
  for (std::size_t k = 0; k < count; ++k) {
    const plasticity_parameter& parameter = parameters[k];
    if (parameter.name == nullptr) bad_argument(str_cat("parameters[", k, "].name"), "a name", "null");
    const auto floats = [&](const char* part, const plasticity_tensor& tensor) {
      return host_span<float>(str_cat("parameter '", parameter.name, "' ", part), tensor);
    };
    const std::span<float> value = floats("value", parameter.value),
                           gradient = floats("gradient", parameter.gradient);
    views.push_back({parameter.name, Shape{{static_cast<std::int64_t>(value.size())}, 1}, value, gradient,
                     parameter.version});
  }
  return views;
}

}  // namespace plasticity::c

using namespace plasticity;
using c::dtype_of, c::guarded, c::host_view, c::not_null;

void plasticity_network_options_init(plasticity_network_options* options) {
  if (options == nullptr) return;
  *options = {.batch = 1,
              .device = {PLASTICITY_CPU, 0},
              .threads = 0,
              .precision = PLASTICITY_F32,
              .seed = 0,
              .checkpoint_interval = 0,
              .memory_budget = 0,
              .execution = PLASTICITY_EXECUTION_AUTOMATIC,
              .stream = nullptr,
              .name = nullptr,
              .preactivation = 0};
}

plasticity_status plasticity_network_create(const plasticity_spec* spec,
                                            const plasticity_network_options* options,
                                            plasticity_network** network) {
  return guarded([&] {
    plasticity_network*& out = not_null(network, "network");
    const plasticity_network_options& from = not_null(options, "options");
    const Spec to = c::to_spec(not_null(spec, "spec"));
    const NetworkOptions with = c::to_options(from);
    out = with.precision == Precision::f64 ? new plasticity_network{NetworkF64(to, with)}
                                           : new plasticity_network{Network(to, with)};
  });
}

plasticity_status plasticity_network_clone(const plasticity_network* network, plasticity_network** copy) {
  return guarded([&] {
    plasticity_network*& out = not_null(copy, "copy");
    not_null(network, "network").visit([&](const auto& typed) {
      out = new plasticity_network{typed.clone()};
    });
  });
}

plasticity_status plasticity_network_share(plasticity_network* network, plasticity_network** second) {
  return guarded([&] {
    plasticity_network*& out = not_null(second, "second");
    not_null(network, "network").visit([&](auto& typed) { out = new plasticity_network{typed.share()}; });
  });
}

void plasticity_network_destroy(plasticity_network* network) { delete network; }

plasticity_status plasticity_network_forward(plasticity_network* network, int64_t steps,
                                             const plasticity_argument* arguments, size_t count) {
  return c::run(network, steps, arguments, count, /*records=*/true);
}

plasticity_status plasticity_network_infer(plasticity_network* network, int64_t steps,
                                           const plasticity_argument* arguments, size_t count) {
  return c::run(network, steps, arguments, count, /*records=*/false);
}

plasticity_status plasticity_network_backward(plasticity_network* network,
                                              const plasticity_argument* arguments, size_t count) {
  return guarded([&] {
    std::vector<std::int64_t>& recorded = not_null(network, "network").recorded;
    const c::HandleCall call(*network);
    network->visit([&]<class Real>(BasicNetwork<Real>& typed) {
      if (recorded.empty()) typed.backward({});  // throws the error for a missing window
      const std::int64_t T = recorded.back(), B = typed.batch(), N = typed.spec().neurons;
      c::Arguments list(arguments, count, Device::cpu(1));
      const Shape all{{T, B, N}, 3};
      const auto dy = c::span_of(list.take<const Real>("dy", all), T * B * N),
                 da = c::span_of(list.take<const Real>("da", all), T * B * N);
      BasicSequenceGradients<Real> gradients;
      c::take_inputs<Real>(list, "dinputs", typed, T, gradients);
      list.check_all_used();
      typed.backward(dy, gradients, {.preactivation = da});
      recorded.pop_back();
    });
  });
}

plasticity_status plasticity_network_windows(const plasticity_network* network, int64_t* windows) {
  return guarded([&] {
    not_null(windows, "windows") =
        not_null(network, "network").visit([](const auto& typed) { return typed.windows(); });
  });
}

plasticity_status plasticity_network_reset(plasticity_network* network) {
  return plasticity_network_reset_batch(network, 0);
}

plasticity_status plasticity_network_reset_batch(plasticity_network* network, int64_t batch) {
  return guarded([&] {
    const c::HandleCall call(not_null(network, "network"));
    network->visit([&](auto& typed) { typed.reset(batch); });
    network->recorded.clear();
  });
}

plasticity_status plasticity_network_batch(const plasticity_network* network, int64_t* batch) {
  return guarded([&] {
    not_null(batch, "batch") =
        not_null(network, "network").visit([](const auto& typed) { return typed.batch(); });
  });
}

plasticity_status plasticity_network_detach(plasticity_network* network) {
  return guarded([&] {
    const c::HandleCall call(not_null(network, "network"));
    network->visit([](auto& typed) { typed.detach(); });
    network->recorded.clear();
  });
}

plasticity_status plasticity_network_zero_gradients(plasticity_network* network) {
  return guarded([&] { not_null(network, "network").visit([](auto& typed) { typed.zero_gradients(); }); });
}

plasticity_status plasticity_network_parameters(plasticity_network* network, plasticity_parameter* parameters,
                                                size_t capacity, size_t* count) {
  return guarded([&] {
    plasticity_network& owner = not_null(network, "network");
    const c::HandleCall call(owner);
    owner.visit([&](auto& typed) {
      c::list_parameters(typed.parameters(), owner.shapes, parameters, capacity, count);
    });
  });
}

plasticity_status plasticity_network_parameter(plasticity_network* network, const char* name,
                                               plasticity_tensor* value) {
  return guarded([&] {
    plasticity_network& owner = not_null(network, "network");
    const c::HandleCall call(owner);
    const std::string_view known = &not_null(name, "name");
    owner.visit([&]<class Real>(BasicNetwork<Real>& typed) {
      Real* data = typed.parameter(known).data();
      std::optional<Shape> shape = parameter_shape(typed.spec(), known);
      if (!shape)
        shape = parameter_shape(typed.spec(), known.substr(typed.options().name.size() + 1));  // NAME.w
      not_null(value, "value") = host_view(
          data, dtype_of<Real>(), owner.shapes.try_emplace(name, c::dimensions(*shape)).first->second);
    });
  });
}

plasticity_status plasticity_network_set_trainable(plasticity_network* network, const char* name,
                                                   int trainable) {
  return guarded([&] {
    const char* const known = &not_null(name, "name");
    not_null(network, "network").visit([&](auto& typed) { typed.set_trainable(known, trainable != 0); });
  });
}

plasticity_status plasticity_network_state(plasticity_network* network, const char* name,
                                           plasticity_tensor* state) {
  return guarded([&] {
    plasticity_network& owner = not_null(network, "network");
    const c::HandleCall call(owner);
    const std::string_view known = &not_null(name, "name");
    owner.visit([&]<class Real>(BasicNetwork<Real>& typed) {
      Real* data = typed.state(known).data();
      const std::vector<std::int64_t> sizes = c::dimensions(*state_shape(typed.spec(), typed.batch(), known));
      std::vector<std::int64_t>& shape = owner.shapes[str_cat("state.", known)];
      shape.assign(sizes.begin(), sizes.end());  // in place: earlier views point to it
      not_null(state, "state") = host_view(data, dtype_of<Real>(), shape);
    });
  });
}
