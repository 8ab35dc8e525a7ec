// Every output of a call is placed over every other tensor of the call. The call must throw, and the message
// must name the tensors. cpu/arguments_test.cpp tests the documented aliases, which are allowed.
#include <gtest/gtest.h>

#include <functional>

#include "plasticity/error.hpp"
#include "problems/plan_runner.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 3, B = 2;

/// A pointer of a call's arguments.
struct Slot {
  std::string name;  // in messages
  const void* original;
  std::function<void(const void*)> set;
  bool written;
};

template <class T>
void add(std::vector<Slot>& slots, const std::string& name, T*& pointer) {
  if (pointer == nullptr) return;
  const auto set = [&pointer](const void* to) { pointer = static_cast<T*>(const_cast<void*>(to)); };
  slots.push_back({name, pointer, set, !std::is_const_v<T>});
}

template <class Group>
void add_group(std::vector<Slot>& slots, const std::string& group, Group& tensors) {
  for (const auto& member : Group::members()) {
    add(slots, group + "." + std::string(member.name), tensors.*member.pointer);
  }
}

template <class Real>
void add_masks(std::vector<Slot>& slots, Masks<Real>& masks) {
  add(slots, "masks.reset", masks.reset);
  add(slots, "masks.length", masks.length);
  add(slots, "masks.clamp", masks.clamp);
  add(slots, "masks.clamp_value", masks.clamp_value);
}

/// Returns whether the two tensors may alias.
bool may_alias(const std::string& a, const std::string& b) {
  const auto is = [](const std::string& name, const char* group) { return name.starts_with(group); };
  const bool states =
      (is(a, "initial_state") && is(b, "final_state")) || (is(a, "dfinal_state") && is(b, "dinitial_state"));
  return states && a.substr(a.find('.')) == b.substr(b.find('.'));
}

/// Places every output over every other tensor and expects an error. Returns the number of errors.
template <class Call>
int expect_overlap_errors(const std::vector<Slot>& slots, Call call) {
  int errors = 0, both_named = 0;
  for (const Slot& out : slots) {
    if (!out.written) continue;
    for (const Slot& other : slots) {
      if (&out == &other || may_alias(other.name, out.name)) continue;
      out.set(other.original);
      try {
        call();
        ADD_FAILURE() << out.name << " over " << other.name << ": no error";
      } catch (const Error& error) {
        const std::string what = error.what();
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        EXPECT_NE(what.find(out.name), std::string::npos) << what;
        // The output may also overlap the tensor after `other`, and the message may name that one.
        both_named += what.find(other.name) != std::string::npos ? 1 : 0;
        ++errors;
      }
      out.set(out.original);
    }
  }
  EXPECT_GT(both_named, errors * 3 / 4);
  return errors;
}

class Overlap : public ::testing::Test {
 protected:
  static constexpr Spec spec{.cell = Cell::lstm,
                             .rate = Rate::fan_out,
                             .eligibility = Eligibility::after,
                             .inputs = 2,
                             .neurons = 3};
  const TestCase problem = make_test_case(spec, T, B, 1, {.reset = true, .length = true, .clamp = true});
  Buffers<double> buffers{problem};
  const Plan plan{spec, {.steps = T, .batch = B, .device = Device::cpu(1), .precision = Precision::f64}};
  GuardedMemory tape{plan.tape_bytes()}, scratch{plan.scratch_bytes()}, step_state{plan.step_state_bytes()};
};

TEST_F(Overlap, Forward) {
  std::vector<Slot> slots;
  ForwardArgs<double>& args = buffers.forward;
  add_group(slots, "parameters", args.parameters);
  add_group(slots, "inputs", args.inputs);
  add_masks(slots, args.masks);
  add_group(slots, "initial_state", args.initial_state);
  add_group(slots, "final_state", args.final_state);
  add(slots, "y", args.y);
  add(slots, "modulation", args.modulation);
  const auto call = [&] { plan.forward({}, args, tape.as<Tape>(), scratch.as<Scratch>()); };
  EXPECT_NO_THROW(call());
  EXPECT_GT(expect_overlap_errors(slots, call), 100);
  args.y = static_cast<double*>(scratch.as<Scratch>().data);
  EXPECT_THROW(call(), Error) << "y in the scratch";
}

TEST_F(Overlap, Backward) {
  std::vector<Slot> slots;
  plan.forward({}, buffers.forward, tape.as<Tape>(), scratch.as<Scratch>());
  BackwardArgs<double>& args = buffers.backward;
  add_group(slots, "parameters", args.parameters);
  add_group(slots, "inputs", args.inputs);
  add_masks(slots, args.masks);
  add(slots, "dy", args.dy);
  add_group(slots, "dfinal_state", args.dfinal_state);
  add_group(slots, "dparameters", args.dparameters);
  add_group(slots, "dinputs", args.dinputs);
  add_group(slots, "dinitial_state", args.dinitial_state);
  const auto call = [&] { plan.backward({}, args, tape.as<Tape>(), scratch.as<Scratch>()); };
  EXPECT_NO_THROW(call());
  EXPECT_GT(expect_overlap_errors(slots, call), 300);
}

TEST_F(Overlap, Stepping) {
  std::vector<Slot> slots;
  StepArgs<double> args;
  args.parameters = buffers.forward.parameters;
  args.inputs = buffers.forward.inputs;
  args.masks = buffers.forward.masks;
  args.masks.length = nullptr;
  args.y = buffers.forward.y;
  args.modulation = buffers.forward.modulation;
  std::vector<double> a(static_cast<std::size_t>(B * 3));
  args.a = a.data();
  add_group(slots, "parameters", args.parameters);
  add_group(slots, "inputs", args.inputs);
  add_masks(slots, args.masks);
  add(slots, "y", args.y);
  add(slots, "modulation", args.modulation);
  add(slots, "a", args.a);
  const auto stay = [](const void*) {};
  slots.push_back({"step_state", step_state.as<StepState>().data, stay, false});
  slots.push_back({"scratch", scratch.as<Scratch>().data, stay, false});
  plan.load({}, State<const double>{}, step_state.as<StepState>());
  const auto call = [&] { plan.step({}, args, step_state.as<StepState>(), scratch.as<Scratch>()); };
  EXPECT_NO_THROW(call());
  EXPECT_GT(expect_overlap_errors(slots, call), 45);
}

// The state of load and store must not overlap the step state.
TEST_F(Overlap, LoadAndStore) {
  const StepState memory = step_state.as<StepState>();
  State<double> store = buffers.forward.final_state;
  State<const double> load = buffers.forward.initial_state;
  EXPECT_NO_THROW(plan.load({}, load, memory));
  EXPECT_NO_THROW(plan.store({}, store, memory));
  const auto refused = [](const std::string& message, const auto& call) {
    expect_exact_error(call, ErrorCode::invalid_argument, message);
  };
  load.hebb = static_cast<const double*>(memory.data) + 8;
  refused("step_state: overlaps state.hebb", [&] { plan.load({}, load, memory); });
  store.c = static_cast<double*>(memory.data);
  refused("step_state: overlaps state.c", [&] { plan.store({}, store, memory); });
  store.c = store.hebb;
  refused("state.hebb: overlaps state.c", [&] { plan.store({}, store, memory); });
}

// The last element of one tensor is the first of the other.
TEST_F(Overlap, BySingleElement) {
  std::vector<double> both(static_cast<std::size_t>(T * B * 3) * 2);
  ForwardArgs<double>& args = buffers.forward;
  const auto call = [&] { plan.forward({}, args, tape.as<Tape>(), scratch.as<Scratch>()); };
  args.masks.clamp_value = both.data();
  args.y = both.data() + T * B * 3;
  EXPECT_NO_THROW(call());
  args.y = both.data() + T * B * 3 - 1;
  EXPECT_THROW(call(), Error);
}

}  // namespace
}  // namespace plasticity::testing
