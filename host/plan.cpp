#include "plasticity/plan.hpp"

#include <chrono>
#include <cstdint>
#include <exception>

#include "backend.hpp"
#include "cuda_part.hpp"
#include "fail.hpp"
#include "log.hpp"
#include "overlap.hpp"
#include "range.hpp"
#include "validate.hpp"

namespace plasticity {
namespace {

void check_type(const PlanOptions& options, bool is_double) {
  if ((options.precision == Precision::f64) != is_double) {
    bad_argument("args",
                 text(is_double ? "float" : "double", " tensors in a plan of precision ",
                      to_string(options.precision)),
                 is_double ? "double tensors" : "float tensors");
  }
}

/// Lengths on a GPU cannot be looked at without waiting for it: there they are taken to the nearer end of
/// 0..T.
void check_host_lengths(const PlanOptions& options, const std::int64_t* length) {
  if (options.device.kind() == DeviceKind::cpu) check_lengths(options.steps, options.batch, length);
}

/// A trace on a bfloat16 tape is on one side of its clip, which therefore needs normal neighbours there.
void check_clip_on_tape(const Spec& spec, const PlanOptions& options) {
  if (options.precision != Precision::bf16 || !has_clip(spec.rule)) return;
  if (spec.clip >= 2e-38 && spec.clip <= 3e38) return;
  fail(ErrorCode::invalid_spec, "spec.clip",
       text("2e-38 to 3e38 for rule ", to_string(spec.rule), " in precision bf16"), text(spec.clip));
}

std::shared_ptr<const Backend> make_backend(const Spec& spec, const PlanOptions& options) {
  check_sizes(spec, options.steps, options.batch);
  check_clip_on_tape(spec, options);
  if (options.checkpoint_interval < 0) {
    bad_argument("options.checkpoint_interval", "at least 0", text(options.checkpoint_interval));
  }
  if (options.execution < Execution::automatic || options.execution > Execution::grid) {
    bad_argument("options.execution", "a value of its enumeration",
                 text(static_cast<int>(options.execution)));
  }
  if (options.device.kind() == DeviceKind::cpu) {
    if (options.execution != Execution::automatic) {
      fail(ErrorCode::unsupported, "options.execution", "automatic on the CPU, which has one way only",
           std::string(to_string(options.execution)));
    }
    return make_cpu_backend(spec, options);
  }
  if (cuda_part() == nullptr) {
    fail(ErrorCode::device_unavailable, "options.device", "a device of this build",
         cuda_unavailable_reason());
  }
  return cuda_part()->make_backend(spec, options);
}

}  // namespace

Plan::Plan(const Spec& spec, const PlanOptions& options)
    : spec_(spec), options_(options), backend_(make_backend(spec, options)) {
  log(Verbosity::dispatch, [&] {
    const std::string way = backend_->way();
    return text("plan: ", to_string(spec), " T=", options.steps, " B=", options.batch, ' ',
                to_string(options.precision), " on ", options.device.name(), way.empty() ? "" : ", ", way,
                ", K=", checkpoint_interval(), ", tape ", tape_bytes(), " bytes, scratch ", scratch_bytes(),
                " bytes");
  });
}

std::int64_t Plan::checkpoint_interval() const { return backend_->checkpoint_interval(); }
Execution Plan::execution() const { return backend_->execution(); }
std::size_t Plan::tape_bytes() const { return backend_->tape_bytes(); }
std::size_t Plan::scratch_bytes() const { return backend_->scratch_bytes(); }
std::size_t Plan::live_bytes() const { return backend_->live_bytes(); }

namespace {

/// Under PLASTICITY_VERBOSE=profile: a line with the time that a call took (on a GPU: that it took to queue
/// the work).
class ProfileLine {
 public:
  ProfileLine(const Plan& plan, const char* call) : plan_(plan), call_(call) {}
  ProfileLine(const ProfileLine&) = delete;
  ProfileLine& operator=(const ProfileLine&) = delete;
  ~ProfileLine() {
    try {
      write();
    } catch (const std::exception&) {
      // No memory for the words, or a GPU that no longer tells its name: then there is no line.
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  void write() const {
    log(Verbosity::profile, [&] {
      const std::chrono::duration<double, std::milli> taken = Clock::now() - start_;
      return text(call_, ": ", taken.count(), " ms for T=", plan_.options().steps,
                  " B=", plan_.options().batch, " N=", plan_.spec().neurons, " on ",
                  plan_.options().device.name());
    });
  }

  const Plan& plan_;
  const char* call_;
  Clock::time_point start_ = Clock::now();
};

template <class Real>
void run_forward(const Plan& plan, const Backend& backend, Stream stream, const ForwardArgs<Real>& args,
                 Tape tape, Scratch scratch) {
  const Range range("plasticity::Plan::forward");
  check_type(plan.options(), sizeof(Real) == 8);
  check_forward(plan.spec(), plan.options().steps, plan.options().batch, args);
  check_host_lengths(plan.options(), args.masks.length);
  if (tape.data != nullptr) check_memory("tape", tape, plan.tape_bytes());
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(plan.spec(), plan.options().steps, plan.options().batch, args, tape, scratch);
  const ProfileLine line(plan, "forward");
  backend.forward(stream, args, tape, scratch);
}

template <class Real>
void run_backward(const Plan& plan, const Backend& backend, Stream stream, const BackwardArgs<Real>& args,
                  Tape tape, Scratch scratch) {
  const Range range("plasticity::Plan::backward");
  check_type(plan.options(), sizeof(Real) == 8);
  check_backward(plan.spec(), plan.options().steps, plan.options().batch, args);
  check_host_lengths(plan.options(), args.masks.length);
  check_memory("tape", tape, plan.tape_bytes());
  check_memory("scratch", scratch, plan.scratch_bytes());
  check_overlap(plan.spec(), plan.options().steps, plan.options().batch, args, tape, scratch);
  const ProfileLine line(plan, "backward");
  backend.backward(stream, args, tape, scratch);
}

/// What load and store have in common.
template <class Real>
void check_state_and_live(const Plan& plan, const State<Real>& state, const Live& live) {
  const std::int64_t batch = plan.options().batch;
  check_type(plan.options(), sizeof(Real) == 8);
  check_state(plan.spec(), batch, "state", state);
  check_memory("live", live, plan.live_bytes());
  check_overlap(plan.spec(), batch, state, live);
}

}  // namespace

void Plan::forward(Stream stream, const ForwardArgs<float>& args, Tape tape, Scratch scratch) const {
  run_forward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::forward(Stream stream, const ForwardArgs<double>& args, Tape tape, Scratch scratch) const {
  run_forward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::backward(Stream stream, const BackwardArgs<float>& args, Tape tape, Scratch scratch) const {
  run_backward(*this, *backend_, stream, args, tape, scratch);
}
void Plan::backward(Stream stream, const BackwardArgs<double>& args, Tape tape, Scratch scratch) const {
  run_backward(*this, *backend_, stream, args, tape, scratch);
}

#define PLASTICITY_STEPPING(Real)                                                                \
  void Plan::load(Stream stream, const State<const Real>& state, Live live) const {              \
    const Range range("plasticity::Plan::load");                                                 \
    check_state_and_live(*this, state, live);                                                    \
    backend_->load(stream, state, live);                                                         \
  }                                                                                              \
  void Plan::step(Stream stream, const StepArgs<Real>& args, Live live, Scratch scratch) const { \
    const Range range("plasticity::Plan::step");                                                 \
    check_type(options_, sizeof(Real) == 8);                                                     \
    check_step(spec_, options_.batch, args);                                                     \
    check_memory("live", live, live_bytes());                                                    \
    check_memory("scratch", scratch, scratch_bytes());                                           \
    check_overlap(spec_, options_.batch, args, live, scratch);                                   \
    backend_->step(stream, args, live, scratch);                                                 \
  }                                                                                              \
  void Plan::store(Stream stream, const State<Real>& state, Live live) const {                   \
    const Range range("plasticity::Plan::store");                                                \
    check_state_and_live(*this, state, live);                                                    \
    backend_->store(stream, state, live);                                                        \
  }
PLASTICITY_STEPPING(float)
PLASTICITY_STEPPING(double)
#undef PLASTICITY_STEPPING

}  // namespace plasticity
