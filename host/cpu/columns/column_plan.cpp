#include "plasticity/column_plan.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/hash.hpp"
#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "communicator/gathered.hpp"
#include "cpu/columns/layer.hpp"
#include "model/for_each_tensor.hpp"

namespace plasticity {
namespace {

[[noreturn]] void unsupported(const char* argument, const std::string& expected, const std::string& got) {
  throw_error(ErrorCode::unsupported, argument, expected + ", because columns are distributed", got);
}

void check_options(const Spec& spec, const PlanOptions& options) {
  check_plan(spec, options);
  if (!spec.is_plastic()) unsupported("spec.alpha", "a cell with a plastic part", "none");
  if (options.device.kind() != DeviceKind::cpu) unsupported("options.device", "a CPU", options.device.name());
  if (options.execution != Execution::automatic)
    unsupported("options.execution", "automatic", std::string(to_string(options.execution)));
}

/// Throws on every rank if the plans of the ranks differ.
void compare_ranks(const Spec& spec, const PlanOptions& options, Communicator& communicator) {
  const cpu::TapeHeader own(spec, options, 0);
  const std::vector<std::byte> all = gathered(std::as_bytes(std::span(&own, 1)), communicator);
  for (std::size_t rank = 1; rank * sizeof own < all.size(); ++rank) {
    if (std::memcmp(all.data(), all.data() + rank * sizeof own, sizeof own) == 0) continue;
    throw_error(ErrorCode::communication, str_cat("rank ", rank),
                "a plan with the spec, steps, batch and precision of rank 0", "another plan");
  }
}

std::unique_ptr<ColumnBackend> make_backend(const Spec& spec, const PlanOptions& options,
                                            Communicator& communicator) {
  check_options(spec, options);
  compare_ranks(spec, options, communicator);
  switch (options.precision) {
    case Precision::f64:
      return std::make_unique<cpu::ColumnLayer<double, double>>(spec, options, communicator);
    case Precision::f32: return std::make_unique<cpu::ColumnLayer<float, float>>(spec, options, communicator);
    case Precision::bf16:
      return std::make_unique<cpu::ColumnLayer<float, cpu::Bfloat16>>(spec, options, communicator);
  }
  bad_argument("options.precision", "f64, f32 or bf16", str_cat(static_cast<int>(options.precision)));
}

/// The backend of a plan for arguments of type Real. Throws Error(invalid_argument) if the plan's precision
/// takes the other type.
template <class Real>
const TypedColumnBackend<Real>& backend_for(const ColumnPlan& plan, const ColumnBackend& backend) {
  constexpr bool is_double = sizeof(Real) == sizeof(double);
  const Precision precision = plan.options().precision;
  if ((precision == Precision::f64) != is_double) {
    bad_argument(
        "args",
        str_cat(is_double ? "float" : "double", " tensors in a plan of precision ", to_string(precision)),
        is_double ? "double tensors" : "float tensors");
  }
  return static_cast<const TypedColumnBackend<Real>&>(backend);
}

TensorSizes sizes_of(const ColumnPlan& plan) { return {plan.spec(), plan.columns().count}; }

/// The values of a call that must be equal on all ranks.
class SharedValues {
 public:
  template <class T>
  void add(const char* name, const T* data, std::int64_t elements) {
    names_.push_back(name);
    codes_.push_back(data == nullptr ? 0 : checksum(std::span(data, static_cast<std::size_t>(elements))));
  }

  /// Adds the tensors that forward and backward have in common.
  template <class Args>
  void add_tensors(const ColumnPlan& plan, const Args& args) {
    const Spec& spec = plan.spec();
    const std::int64_t B = plan.options().batch, rows = plan.options().steps * B;
    add("inputs.x", args.inputs.x, rows * spec.inputs);
    add("inputs.pre", args.inputs.pre, rows * spec.inputs);
    add("parameters.eta", args.parameters.eta, 1);
    add("parameters.modulator.bias", args.parameters.modulator_bias, 1);
    if (spec.alpha == Granularity::scalar) add("parameters.alpha", args.parameters.alpha, 1);
    add("masks.reset", args.masks.reset, rows);
    add("masks.length", args.masks.length, B);
  }

  /// A collective call. Throws on every rank if the ranks differ.
  void compare(Communicator& communicator) const {
    const std::vector<std::uint64_t> all = gathered(std::span(codes_), communicator);
    for (std::size_t k = 0; k < all.size(); ++k) {
      const std::size_t rank = k / codes_.size(), which = k % codes_.size();
      if (all[k] == all[which]) continue;
      throw_error(ErrorCode::communication, str_cat(names_[which], " of rank ", rank), "that of rank 0",
                  "another");
    }
  }

 private:
  std::vector<const char*> names_{};
  std::vector<std::uint64_t> codes_{};
};

template <class Real>
void forward(const ColumnPlan& plan, const ColumnBackend& backend, const ForwardArgs<Real>& args, Tape tape,
             Scratch scratch) {
  const std::int64_t steps = plan.options().steps, batch = plan.options().batch;
  const TypedColumnBackend<Real>& typed = backend_for<Real>(plan, backend);
  check_forward(sizes_of(plan), steps, batch, args);
  check_lengths(steps, batch, args.masks.length);
  check_memory("tape", tape, tape.data != nullptr ? plan.tape_bytes() : 0);
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(sizes_of(plan), steps, batch, args, tape, scratch);
  SharedValues shared;
  shared.add_tensors(plan, args);
  shared.compare(backend.communicator());
  typed.forward(args, tape, scratch);
}

template <class Real>
void backward(const ColumnPlan& plan, const ColumnBackend& backend, const BackwardArgs<Real>& args, Tape tape,
              Scratch scratch) {
  const std::int64_t steps = plan.options().steps, batch = plan.options().batch;
  const TypedColumnBackend<Real>& typed = backend_for<Real>(plan, backend);
  check_backward(sizes_of(plan), steps, batch, args);
  check_lengths(steps, batch, args.masks.length);
  check_memory("tape", tape, plan.tape_bytes());
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(sizes_of(plan), steps, batch, args, tape, scratch);
  SharedValues shared;
  shared.add_tensors(plan, args);
  shared.add("dinputs.x", args.dinputs.x, 0);  // null on all ranks or on none
  shared.add("dinputs.pre", args.dinputs.pre, 0);
  shared.compare(backend.communicator());
  typed.backward(args, tape, scratch);
}

/// The shape of the tensor `name` of a group.
template <class Group>
std::optional<Shape> shape_named(const ColumnPlan& plan, const Group& group, std::string_view name) {
  std::optional<Shape> found;
  for_each_tensor(sizes_of(plan), plan.options().steps, plan.options().batch, group,
                  [&](std::string_view each, auto*, const std::optional<Shape>& shape) {
                    if (each == name) found = shape;
                  });
  return found;
}

}  // namespace

ColumnPlan::ColumnPlan(const Spec& spec, const PlanOptions& options, Communicator& communicator)
    : spec_(spec),
      options_(options),
      columns_(columns_of(communicator, std::max<std::int64_t>(spec.neurons, 0))),
      backend_(make_backend(spec, options, communicator)) {}
ColumnPlan::~ColumnPlan() = default;
ColumnPlan::ColumnPlan(ColumnPlan&& other) noexcept = default;
ColumnPlan& ColumnPlan::operator=(ColumnPlan&& other) noexcept = default;

std::int64_t ColumnPlan::checkpoint_interval() const { return backend_->checkpoint_interval(); }
std::size_t ColumnPlan::tape_bytes() const { return backend_->tape_bytes(); }
std::size_t ColumnPlan::scratch_bytes() const { return backend_->scratch_bytes(); }

std::optional<Shape> ColumnPlan::parameter_shape(std::string_view name) const {
  return shape_named(*this, Parameters<float>{}, name);
}
std::optional<Shape> ColumnPlan::input_shape(std::string_view name) const {
  return shape_named(*this, Inputs<float>{}, name);
}
std::optional<Shape> ColumnPlan::state_shape(std::string_view name) const {
  return shape_named(*this, State<float>{}, name);
}

void ColumnPlan::forward(const ForwardArgs<float>& args, Tape tape, Scratch scratch) {
  plasticity::forward(*this, *backend_, args, tape, scratch);
}
void ColumnPlan::forward(const ForwardArgs<double>& args, Tape tape, Scratch scratch) {
  plasticity::forward(*this, *backend_, args, tape, scratch);
}
void ColumnPlan::backward(const BackwardArgs<float>& args, Tape tape, Scratch scratch) {
  plasticity::backward(*this, *backend_, args, tape, scratch);
}
void ColumnPlan::backward(const BackwardArgs<double>& args, Tape tape, Scratch scratch) {
  plasticity::backward(*this, *backend_, args, tape, scratch);
}

}  // namespace plasticity
