#include "plasticity/plan.hpp"

#include "c/arguments.hpp"
#include "c/spec.hpp"

struct plasticity_plan {
  plasticity::Plan plan;
};

namespace plasticity::c {
namespace {

/// Takes the arguments of a call on a plan.
template <class Real>
struct Call {
  const Plan& plan;
  Arguments& arguments;
  std::int64_t T, B = plan.options().batch, N = plan.spec().neurons;

  template <class Group>
  void take(const char* group, Group& tensors) {
    arguments.take_group(plan.spec(), T, B, group, tensors);
  }
  void take(Masks<Real>& masks) {
    masks.reset = arguments.take<const std::uint8_t>("masks.reset", Shape{{T, B}, 2});
    masks.length = arguments.take<const std::int64_t>("masks.length", Shape{{B}, 1});
    masks.clamp = arguments.take<const std::uint8_t>("masks.clamp", Shape{{T, B, N}, 3});
    masks.clamp_value = arguments.take<const Real>("masks.clamp_value", Shape{{T, B, N}, 3});
  }
  Real* y() { return arguments.take<Real>("y", Shape{{T, B, N}, 3}); }
  Real* modulation() { return arguments.take<Real>("modulation", Shape{{T, B}, 2}); }
  Real* a() { return arguments.take<Real>("a", Shape{{T, B, N}, 3}); }
};

template <class Kind>
Kind as(plasticity_memory memory) {
  return Kind{{memory.data, memory.bytes}};
}

template <class Real>
void forward(const Plan& plan, Stream stream, Arguments& arguments, Tape tape, Scratch scratch) {
  Call<Real> call{plan, arguments, plan.options().steps};
  ForwardArgs<Real> args;
  call.take("parameters", args.parameters);
  call.take("inputs", args.inputs);
  call.take(args.masks);
  call.take("initial_state", args.initial_state);
  args.y = call.y();
  args.modulation = call.modulation();
  args.a = call.a();
  call.take("final_state", args.final_state);
  arguments.check_all_used();
  plan.forward(stream, args, tape, scratch);
}

template <class Real>
void backward(const Plan& plan, Stream stream, Arguments& arguments, Tape tape, Scratch scratch) {
  const std::int64_t T = plan.options().steps, B = plan.options().batch, N = plan.spec().neurons;
  Call<Real> call{plan, arguments, T};
  BackwardArgs<Real> args;
  call.take("parameters", args.parameters);
  call.take("inputs", args.inputs);
  call.take(args.masks);
  call.take("initial_state", args.initial_state);
  args.dy = arguments.take<const Real>("dy", Shape{{T, B, N}, 3});
  args.da = arguments.take<const Real>("da", Shape{{T, B, N}, 3});
  call.take("dfinal_state", args.dfinal_state);
  call.take("dparameters", args.dparameters);
  call.take("dinputs", args.dinputs);
  call.take("dinitial_state", args.dinitial_state);
  arguments.check_all_used();
  plan.backward(stream, args, tape, scratch);
}

template <class Real>
void load(const Plan& plan, Stream stream, Arguments& arguments, StepState step_state) {
  State<const Real> state;
  Call<Real>{plan, arguments, 1}.take("state", state);
  arguments.check_all_used();
  plan.load(stream, state, step_state);
}

template <class Real>
void step(const Plan& plan, Stream stream, Arguments& arguments, StepState step_state, Scratch scratch) {
  arguments.allow_missing_leading_one();
  Call<Real> call{plan, arguments, 1};
  StepArgs<Real> args;
  call.take("parameters", args.parameters);
  call.take("inputs", args.inputs);
  call.take(args.masks);
  args.y = call.y();
  args.modulation = call.modulation();
  args.a = call.a();
  arguments.check_all_used();
  plan.step(stream, args, step_state, scratch);
}

template <class Real>
void store(const Plan& plan, Stream stream, Arguments& arguments, StepState step_state) {
  State<Real> state;
  Call<Real>{plan, arguments, 1}.take("state", state);
  arguments.check_all_used();
  plan.store(stream, state, step_state);
}

/// Calls `run.operator()<Real>(plan, stream, arguments)` with the plan's argument type.
template <class Run>
plasticity_status on(const plasticity_plan* handle, void* stream, const plasticity_argument* list,
                     std::size_t count, Run run) {
  return guarded([&] {
    const Plan& plan = not_null(handle, "plan").plan;
    Arguments arguments(list, count, plan.options().device);
    const Stream on_stream{static_cast<CUstream_st*>(stream)};
    if (plan.options().precision == Precision::f64) {
      run.template operator()<double>(plan, on_stream, arguments);
    } else {
      run.template operator()<float>(plan, on_stream, arguments);
    }
  });
}

}  // namespace
}  // namespace plasticity::c

using namespace plasticity;
using c::as, c::guarded, c::not_null;

void plasticity_plan_options_init(plasticity_plan_options* options) {
  if (options == nullptr) return;
  *options = {.steps = 1,
              .batch = 1,
              .device = {PLASTICITY_CPU, 0},
              .threads = 0,
              .precision = PLASTICITY_F32,
              .checkpoint_interval = 0,
              .memory_budget = 0,
              .execution = PLASTICITY_EXECUTION_AUTOMATIC};
}

plasticity_status plasticity_plan_create(const plasticity_spec* spec, const plasticity_plan_options* options,
                                         plasticity_plan** plan) {
  return guarded([&] {
    plasticity_plan*& out = not_null(plan, "plan");
    const plasticity_plan_options& from = not_null(options, "options");
    out = new plasticity_plan{Plan(c::to_spec(not_null(spec, "spec")),
                                   {.steps = from.steps,
                                    .batch = from.batch,
                                    .device = c::to_device(from.device, from.threads, "options.device"),
                                    .precision = c::to_precision(from.precision),
                                    .checkpoint_interval = from.checkpoint_interval,
                                    .memory_budget = from.memory_budget,
                                    .execution = c::to_execution(from.execution)})};
  });
}

void plasticity_plan_destroy(plasticity_plan* plan) { delete plan; }

plasticity_status plasticity_plan_needs_of(const plasticity_plan* plan, plasticity_plan_needs* needs) {
  return guarded([&] {
    const Plan& the_plan = not_null(plan, "plan").plan;
    not_null(needs, "needs") = {the_plan.tape_bytes(), the_plan.scratch_bytes(), the_plan.step_state_bytes(),
                                the_plan.checkpoint_interval()};
  });
}

plasticity_status plasticity_plan_execution(const plasticity_plan* plan, plasticity_execution* execution) {
  return guarded([&] {
    not_null(execution, "execution") =
        static_cast<plasticity_execution>(not_null(plan, "plan").plan.execution());
  });
}

plasticity_status plasticity_plan_forward(const plasticity_plan* plan, void* stream,
                                          const plasticity_argument* arguments, size_t count,
                                          plasticity_memory tape, plasticity_memory scratch) {
  return c::on(plan, stream, arguments, count,
               [&]<class Real>(const Plan& the_plan, Stream on, c::Arguments& list) {
                 c::forward<Real>(the_plan, on, list, as<Tape>(tape), as<Scratch>(scratch));
               });
}

plasticity_status plasticity_plan_backward(const plasticity_plan* plan, void* stream,
                                           const plasticity_argument* arguments, size_t count,
                                           plasticity_memory tape, plasticity_memory scratch) {
  return c::on(plan, stream, arguments, count,
               [&]<class Real>(const Plan& the_plan, Stream on, c::Arguments& list) {
                 c::backward<Real>(the_plan, on, list, as<Tape>(tape), as<Scratch>(scratch));
               });
}

plasticity_status plasticity_plan_load(const plasticity_plan* plan, void* stream,
                                       const plasticity_argument* arguments, size_t count,
                                       plasticity_memory step_state) {
  return c::on(plan, stream, arguments, count,
               [&]<class Real>(const Plan& the_plan, Stream on, c::Arguments& list) {
                 c::load<Real>(the_plan, on, list, as<StepState>(step_state));
               });
}

plasticity_status plasticity_plan_step(const plasticity_plan* plan, void* stream,
                                       const plasticity_argument* arguments, size_t count,
                                       plasticity_memory step_state, plasticity_memory scratch) {
  return c::on(plan, stream, arguments, count,
               [&]<class Real>(const Plan& the_plan, Stream on, c::Arguments& list) {
                 c::step<Real>(the_plan, on, list, as<StepState>(step_state), as<Scratch>(scratch));
               });
}

plasticity_status plasticity_plan_store(const plasticity_plan* plan, void* stream,
                                        const plasticity_argument* arguments, size_t count,
                                        plasticity_memory step_state) {
  return c::on(plan, stream, arguments, count,
               [&]<class Real>(const Plan& the_plan, Stream on, c::Arguments& list) {
                 c::store<Real>(the_plan, on, list, as<StepState>(step_state));
               });
}
