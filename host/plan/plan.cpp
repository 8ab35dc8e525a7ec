#include "plasticity/plan.hpp"

#include <chrono>
#include <cstdint>
#include <exception>

#include "base/log.hpp"
#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "check/step_check.hpp"
#include "device/cuda_api.hpp"
#include "device/profiler_range.hpp"
#include "plan/backend.hpp"

namespace plasticity {
namespace {

[[noreturn, gnu::cold]] void throw_wrong_type(Precision precision, bool is_double) {
  bad_argument(
      "args",
      str_cat(is_double ? "float" : "double", " tensors in a plan of precision ", to_string(precision)),
      is_double ? "double tensors" : "float tensors");
}

/// The backend of a plan for arguments of type Real. Throws Error(invalid_argument) if the plan's precision
/// takes the other type.
template <class Real>
const TypedBackend<Real>& backend_for(const PlanOptions& options, const Backend& backend) {
  constexpr bool is_double = sizeof(Real) == sizeof(double);
  if ((options.precision == Precision::f64) != is_double) throw_wrong_type(options.precision, is_double);
  return static_cast<const TypedBackend<Real>&>(backend);
}

/// Checks masks.length on the CPU. On a GPU a check would have to wait for the device, so the kernels clamp
/// each length to 0..T.
void check_host_lengths(const PlanOptions& options, const std::int64_t* length) {
  if (options.device.kind() == DeviceKind::cpu) check_lengths(options.steps, options.batch, length);
}

std::shared_ptr<const Backend> make_backend(const Spec& spec, const PlanOptions& options) {
  check_plan(spec, options);
  if (options.execution < Execution::automatic || options.execution > Execution::grid) {
    bad_argument("options.execution", "a value of its enumeration",
                 str_cat(static_cast<int>(options.execution)));
  }
  if (options.device.kind() == DeviceKind::cpu) {
    if (options.execution != Execution::automatic) {
      throw_error(ErrorCode::unsupported, "options.execution", "automatic on the CPU",
                  std::string(to_string(options.execution)));
    }
    return make_cpu_backend(spec, options);
  }
  if (cuda_api() == nullptr) {
    throw_error(ErrorCode::device_unavailable, "options.device", "a CUDA device", cuda_unavailable_reason());
  }
  return cuda_api()->make_backend(spec, options);
}

}  // namespace

Plan::Plan(const Spec& spec, const PlanOptions& options)
    : spec_(spec),
      options_(options),
      backend_(make_backend(spec, options)),
      step_check_(std::make_shared<StepCheck>(spec, options.batch)) {
  if (verbosity() < Verbosity::dispatch) return;
  for (const std::string& candidate : backend_->candidates()) log_line("candidate: " + candidate);
  const std::string description = backend_->describe();
  log_line(str_cat("plan: ", to_string(spec), " T=", options.steps, " B=", options.batch, ' ',
                   to_string(options.precision), " on ", options.device.name(),
                   description.empty() ? "" : ", ", description, ", K=", checkpoint_interval(), ", tape ",
                   tape_bytes(), " bytes, scratch ", scratch_bytes(), " bytes"));
}

std::int64_t Plan::checkpoint_interval() const { return backend_->checkpoint_interval(); }
Execution Plan::execution() const { return backend_->execution(); }
std::size_t Plan::tape_bytes() const { return backend_->tape_bytes(); }
std::size_t Plan::scratch_bytes() const { return backend_->scratch_bytes(); }
std::size_t Plan::step_state_bytes() const { return backend_->step_state_bytes(); }

namespace {

/// Logs the duration of a call under PLASTICITY_VERBOSE=profile. On a GPU that is the time to enqueue the
/// work.
class ProfileLine {
 public:
  ProfileLine(const Plan& plan, const char* call) : plan_(plan), call_(call) {}
  ProfileLine(const ProfileLine&) = delete;
  ProfileLine& operator=(const ProfileLine&) = delete;
  ~ProfileLine() {
    try {
      write();
    } catch (const std::exception&) {
      // A destructor must not throw. The line is lost if memory is short or the GPU does not return its name.
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  void write() const {
    log(Verbosity::profile, [&] {
      const std::chrono::duration<double, std::milli> duration = Clock::now() - start_;
      return str_cat(call_, ": ", duration.count(), " ms for T=", plan_.options().steps,
                     " B=", plan_.options().batch, " N=", plan_.spec().neurons, " on ",
                     plan_.options().device.name());
    });
  }

  const Plan& plan_;
  const char* call_;
  Clock::time_point start_ = Clock::now();
};

template <class Real>
void forward(const Plan& plan, const Backend& backend, Stream stream, const ForwardArgs<Real>& args,
             Tape tape, Scratch scratch) {
  const ProfilerRange range("plasticity::Plan::forward");
  const PlanOptions& options = plan.options();
  const TypedBackend<Real>& typed = backend_for<Real>(options, backend);
  check_forward(plan.spec(), options.steps, options.batch, args);
  check_host_lengths(options, args.masks.length);
  const bool records = tape.data != nullptr;
  check_memory("tape", tape, records ? plan.tape_bytes() : 0);
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(plan.spec(), options.steps, options.batch, args, tape, scratch);
  const ProfileLine line(plan, "forward");
  typed.enqueue_forward(stream, args, tape, scratch);
}

template <class Real>
void backward(const Plan& plan, const Backend& backend, Stream stream, const BackwardArgs<Real>& args,
              Tape tape, Scratch scratch) {
  const ProfilerRange range("plasticity::Plan::backward");
  const PlanOptions& options = plan.options();
  const TypedBackend<Real>& typed = backend_for<Real>(options, backend);
  check_backward(plan.spec(), options.steps, options.batch, args);
  check_host_lengths(options, args.masks.length);
  check_memory("tape", tape, plan.tape_bytes());
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(plan.spec(), options.steps, options.batch, args, tape, scratch);
  const ProfileLine line(plan, "backward");
  typed.enqueue_backward(stream, args, tape, scratch);
}

/// Checks the arguments of load and store.
template <class Real>
void check_state_copy(const Plan& plan, const State<Real>& state, const StepState& step_state) {
  const std::int64_t batch = plan.options().batch;
  check_state(plan.spec(), batch, "state", state);
  check_memory("step_state", step_state, plan.step_state_bytes());
  check_overlap(plan.spec(), batch, state, step_state);
}

template <class Real>
void load(const Plan& plan, const Backend& backend, Stream stream, const State<const Real>& state,
          StepState step_state) {
  const ProfilerRange range("plasticity::Plan::load");
  const TypedBackend<Real>& typed = backend_for<Real>(plan.options(), backend);
  check_state_copy(plan, state, step_state);
  typed.enqueue_load(stream, state, step_state);
}

template <class Real>
void step(const Plan& plan, const Backend& backend, const StepCheck& check, Stream stream,
          const StepArgs<Real>& args, StepState step_state, Scratch scratch) {
  const ProfilerRange range("plasticity::Plan::step");
  const TypedBackend<Real>& typed = backend_for<Real>(plan.options(), backend);
  const std::size_t state_bytes = backend.step_state_bytes(), scratch_bytes = backend.scratch_bytes();
  if (!check.accepts(args, step_state, state_bytes, scratch, scratch_bytes)) {
    const std::int64_t batch = plan.options().batch;
    check_step(plan.spec(), batch, args);
    check_memory("step_state", step_state, state_bytes);
    check_memory("scratch", scratch, scratch_bytes);
    check_overlap(plan.spec(), batch, args, step_state, scratch);
  }
  typed.enqueue_step(stream, args, step_state, scratch);
}

template <class Real>
void store(const Plan& plan, const Backend& backend, Stream stream, const State<Real>& state,
           StepState step_state) {
  const ProfilerRange range("plasticity::Plan::store");
  const TypedBackend<Real>& typed = backend_for<Real>(plan.options(), backend);
  check_state_copy(plan, state, step_state);
  typed.enqueue_store(stream, state, step_state);
}

}  // namespace

void Plan::forward(Stream stream, const ForwardArgs<float>& args, Tape tape, Scratch scratch) const {
  plasticity::forward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::backward(Stream stream, const BackwardArgs<float>& args, Tape tape, Scratch scratch) const {
  plasticity::backward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::load(Stream stream, const State<const float>& state, StepState step_state) const {
  plasticity::load(*this, *backend_, stream, state, step_state);
}
void Plan::load(Stream stream, std::nullptr_t, StepState step_state) const {
  if (options_.precision == Precision::f64) return load(stream, State<const double>{}, step_state);
  load(stream, State<const float>{}, step_state);
}
void Plan::step(Stream stream, const StepArgs<float>& args, StepState step_state, Scratch scratch) const {
  plasticity::step(*this, *backend_, *step_check_, stream, args, step_state, scratch);
}
void Plan::store(Stream stream, const State<float>& state, StepState step_state) const {
  plasticity::store(*this, *backend_, stream, state, step_state);
}

void Plan::forward(Stream stream, const ForwardArgs<double>& args, Tape tape, Scratch scratch) const {
  plasticity::forward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::backward(Stream stream, const BackwardArgs<double>& args, Tape tape, Scratch scratch) const {
  plasticity::backward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::load(Stream stream, const State<const double>& state, StepState step_state) const {
  plasticity::load(*this, *backend_, stream, state, step_state);
}
void Plan::step(Stream stream, const StepArgs<double>& args, StepState step_state, Scratch scratch) const {
  plasticity::step(*this, *backend_, *step_check_, stream, args, step_state, scratch);
}
void Plan::store(Stream stream, const State<double>& state, StepState step_state) const {
  plasticity::store(*this, *backend_, stream, state, step_state);
}

}  // namespace plasticity
