#include "plasticity/stack.hpp"

#include "c/file.hpp"
#include "c/network.hpp"
#include "c/spec.hpp"
#include "check/arguments.hpp"

namespace plasticity::c {
namespace {

std::vector<StackLayer> to_layers(const plasticity_stack_layer* layers, std::size_t count) {
  check_count("layers", count);
  std::vector<StackLayer> result;
  for (std::size_t k = 0; k < count; ++k) {
    const plasticity_stack_layer& layer = (&not_null(layers, "layers"))[k];
    StackLayer& to = result.emplace_back(StackLayer{.spec = to_spec(layer.spec)});
    if (layer.from_count == 0) continue;
    const std::string name = str_cat("layers[", k, "].from");
    const std::int32_t* from = &not_null(layer.from, name.c_str());
    check_count(name.c_str(), layer.from_count);
    to.from.assign(from, from + layer.from_count);
  }
  return result;
}

/// Forgets the windows that a call discarded because it ran out of memory.
void forget_discarded_windows(plasticity_stack& owner) {
  owner.recorded.resize(static_cast<std::size_t>(owner.stack.windows()));
}

/// The shapes of x and y of T steps, after checking that T is valid for all layers.
struct StackShapes {
  Shape x, y;

  StackShapes(const Stack& stack, std::int64_t steps)
      : x{{steps, stack.batch(), stack.inputs()}, 3}, y{{steps, stack.batch(), stack.outputs()}, 3} {
    for (const StackLayer& layer : stack.layers()) check_sizes(layer.spec, steps, stack.batch());
  }
};

plasticity_status run(plasticity_stack* handle, std::int64_t steps, const plasticity_argument* list,
                      std::size_t count, bool records) {
  return guarded([&] {
    plasticity_stack& owner = not_null(handle, "stack");
    const HandleCall call(owner);
    forget_discarded_windows(owner);
    const std::int64_t T = steps, B = owner.stack.batch();
    const StackShapes shapes(owner.stack, steps);
    Arguments arguments(list, count, Device::cpu(1));
    StackSequence sequence{.steps = T};
    sequence.x = span_of(arguments.take<const float>("inputs.x", shapes.x), shapes.x.elements());
    sequence.reset = span_of(arguments.take<const std::uint8_t>("masks.reset", Shape{{T, B}, 2}), T * B);
    sequence.length = span_of(arguments.take<const std::int64_t>("masks.length", Shape{{B}, 1}), B);
    auto* const y = arguments.take<float>("y", shapes.y);
    const std::size_t last = owner.stack.layers().size() - 1;
    float* const a = take_preactivation(arguments, owner.stack.layer(last), steps);
    arguments.check_all_used();
    owner.recorded.reserve(owner.recorded.size() + 1);
    const std::span<const float> output =
        records ? owner.stack.forward(sequence) : owner.stack.infer(sequence);
    if (records) owner.recorded.push_back(steps);
    copy_to(y, output);
    copy_to(a, owner.stack.preactivation());
  });
}

}  // namespace
}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null;

plasticity_status plasticity_stack_create(int64_t inputs, const plasticity_stack_layer* layers, size_t count,
                                          const plasticity_network_options* options,
                                          plasticity_stack** stack) {
  return guarded([&] {
    plasticity_stack*& out = not_null(stack, "stack");
    const NetworkOptions to = c::to_options(not_null(options, "options"));
    out = new plasticity_stack{Stack(inputs, c::to_layers(layers, count), to)};
  });
}

void plasticity_stack_destroy(plasticity_stack* stack) { delete stack; }

plasticity_status plasticity_stack_forward(plasticity_stack* stack, int64_t steps,
                                           const plasticity_argument* arguments, size_t count) {
  return c::run(stack, steps, arguments, count, /*records=*/true);
}

plasticity_status plasticity_stack_infer(plasticity_stack* stack, int64_t steps,
                                         const plasticity_argument* arguments, size_t count) {
  return c::run(stack, steps, arguments, count, /*records=*/false);
}

plasticity_status plasticity_stack_backward(plasticity_stack* stack, const plasticity_argument* arguments,
                                            size_t count) {
  return guarded([&] {
    const c::HandleCall call(not_null(stack, "stack"));
    c::forget_discarded_windows(*stack);
    std::vector<std::int64_t>& recorded = stack->recorded;
    if (recorded.empty()) stack->stack.backward({});  // throws the error for a missing window
    const c::StackShapes shapes(stack->stack, recorded.back());
    c::Arguments list(arguments, count, Device::cpu(1));
    const auto dy = c::span_of(list.take<const float>("dy", shapes.y), shapes.y.elements());
    const auto dx = c::span_of(list.take<float>("dinputs.x", shapes.x), shapes.x.elements());
    const auto da = c::span_of(list.take<const float>("da", shapes.y), shapes.y.elements());
    list.check_all_used();
    stack->stack.backward(dy, dx, da);
    recorded.pop_back();
  });
}

plasticity_status plasticity_stack_windows(const plasticity_stack* stack, int64_t* windows) {
  return guarded([&] { not_null(windows, "windows") = not_null(stack, "stack").stack.windows(); });
}

plasticity_status plasticity_stack_reset(plasticity_stack* stack, int64_t batch) {
  return guarded([&] {
    const c::HandleCall call(not_null(stack, "stack"));
    stack->stack.reset(batch);
    stack->recorded.clear();
  });
}

plasticity_status plasticity_stack_detach(plasticity_stack* stack) {
  return guarded([&] {
    const c::HandleCall call(not_null(stack, "stack"));
    stack->stack.detach();
    stack->recorded.clear();
  });
}

plasticity_status plasticity_stack_zero_gradients(plasticity_stack* stack) {
  return guarded([&] { not_null(stack, "stack").stack.zero_gradients(); });
}

plasticity_status plasticity_stack_parameters(plasticity_stack* stack, plasticity_parameter* parameters,
                                              size_t capacity, size_t* count) {
  return guarded([&] {
    plasticity_stack& owner = not_null(stack, "stack");
    const c::HandleCall call(owner);
    c::list_parameters(owner.stack.parameters(), owner.shapes, parameters, capacity, count);
  });
}

plasticity_status plasticity_stack_save(const plasticity_stack* stack, plasticity_file* file) {
  return guarded([&] { not_null(stack, "stack").stack.save(not_null(file, "file").file); });
}

plasticity_status plasticity_stack_load(plasticity_stack* stack, const plasticity_file* file) {
  return guarded([&] { not_null(stack, "stack").stack.load(not_null(file, "file").file); });
}

plasticity_status plasticity_stack_save_state(const plasticity_stack* stack, plasticity_file* file) {
  return guarded([&] { not_null(stack, "stack").stack.save_state(not_null(file, "file").file); });
}

plasticity_status plasticity_stack_load_state(plasticity_stack* stack, const plasticity_file* file) {
  return guarded([&] { not_null(stack, "stack").stack.load_state(not_null(file, "file").file); });
}
