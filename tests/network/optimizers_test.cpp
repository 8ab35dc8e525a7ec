// Optimizers compared with hand-written formulas in double, parameter groups, schedules, and the Trainer
// compared in bits with the equivalent loop.
#include <gtest/gtest.h>

#include <cmath>

#include "base/str_cat.hpp"
#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

/// One parameter of one optimizer in double.
struct Formula {
  OptimizerOptions options;
  double value, m = 0, v = 0;
  int steps = 0;

  void step(double g, double rate = 1) {
    const UpdateOptions& o = options.update;
    const double r = o.learning_rate * rate;
    ++steps;
    value -= r * options.weight_decay * value;
    switch (o.method) {
      case Method::adam:
        m = o.beta1 * m + (1 - o.beta1) * g;
        v = o.beta2 * v + (1 - o.beta2) * g * g;
        value -= r * (m / (1 - std::pow(o.beta1, steps))) /
                 (std::sqrt(v / (1 - std::pow(o.beta2, steps))) + o.epsilon);
        break;
      case Method::sgd:
        m = o.momentum * m + g;
        value -= r * m;
        break;
      case Method::rmsprop:
        v = o.beta2 * v + (1 - o.beta2) * g * g;
        m = o.momentum * m + g / (std::sqrt(v) + o.epsilon);
        value -= r * m;
        break;
    }
  }
};

const std::vector<OptimizerOptions> all_options{
    OptimizerOptions::adam(.1),
    OptimizerOptions::adamw(.1, .3),
    OptimizerOptions::sgd(.1),
    OptimizerOptions::sgd(.1, .9),
    OptimizerOptions::rmsprop(.02, .9),
    OptimizerOptions::rmsprop(.02, .9, .5),
    {.update = {.method = Method::sgd, .learning_rate = .1}, .weight_decay = .2}};

TEST(Optimizers, MatchTheirFormulas) {
  for (std::size_t k = 0; k < all_options.size(); ++k) {
    std::vector<float> value{1, -2}, gradient{.5f, -.1f};
    const std::vector<ParameterView> parameters{{"p", Shape{{2}, 1}, value, gradient}};
    Optimizer optimizer(all_options[k]);
    Formula want[2]{{all_options[k], 1}, {all_options[k], -2}};
    for (int step = 0; step < 6; ++step) {
      for (std::size_t j = 0; j < 2; ++j) want[j].step(gradient[j]);
      optimizer.step(parameters);
      const double tolerance = 1e-5;  // a few float roundings of 6e-8 per step, in values up to 2
      for (std::size_t j = 0; j < 2; ++j)
        EXPECT_NEAR(value[j], want[j].value, tolerance) << k << " step " << step;
      gradient[0] *= -.7f;
    }
  }
}

TEST(Optimizers, ResumeFromTheirFiles) {
  for (std::size_t k = 0; k < all_options.size(); ++k) {
    std::vector<float> a{1, 2, 3}, b = a, gradient{.1f, -.2f, .3f};
    const std::vector<ParameterView> first{{"p", Shape{{3}, 1}, a, gradient}},
        second{{"p", Shape{{3}, 1}, b, gradient}};
    Optimizer uninterrupted(all_options[k]), interrupted(all_options[k]), resumed(all_options[k]);
    for (int step = 0; step < 3; ++step) uninterrupted.step(first);
    interrupted.step(second);
    io::TensorFile file;
    interrupted.save(file);
    resumed.load(file);
    for (int step = 0; step < 2; ++step) resumed.step(second);
    EXPECT_EQ(a, b) << k;
    EXPECT_EQ(resumed.steps(), 3);
  }
}

// Prefix and suffix of the key "sgd.m" share their dot.
TEST(Optimizers, ATensorWithoutAParametersNameIsIgnored) {
  std::vector<float> value{1}, gradient{1};
  const std::vector<ParameterView> parameters{{"p", Shape{{1}, 1}, value, gradient}};
  Optimizer optimizer(OptimizerOptions::sgd(.1, .9)), loaded(OptimizerOptions::sgd(.1, .9));
  optimizer.step(parameters);
  io::TensorFile file, saved;
  optimizer.save(file);
  const io::TensorFile before = file;
  file.tensors["sgd.m"] = io::make_tensor({1}, std::vector<float>{1});
  loaded.load(file);
  loaded.save(saved);
  EXPECT_EQ(saved, before);
}

TEST(Optimizers, GroupsHaveTheirOwnRateDecayAndClipping) {
  std::vector<float> a{1}, b{1}, c{1}, a_gradient{3}, b_gradient{3}, c_gradient{4};
  const std::vector<ParameterView> parameters{{"a", Shape{{1}, 1}, a, a_gradient},
                                              {"b", Shape{{1}, 1}, b, b_gradient},
                                              {"c", Shape{{1}, 1}, c, c_gradient}};
  OptimizerOptions options = OptimizerOptions::sgd(.1);
  options.groups = {{.names = {"a"}, .learning_rate_factor = 10, .weight_decay = .5},
                    {.names = {"b", "c"}, .clip_norm = 1}};
  Optimizer optimizer(options);
  optimizer.step(parameters);
  EXPECT_FLOAT_EQ(a[0], 1 - 1 * .5f * 1 - 1 * 3.f);
  EXPECT_FLOAT_EQ(b[0], 1 - .1f * .6f);
  EXPECT_FLOAT_EQ(c[0], 1 - .1f * .8f);
}

TEST(Optimizers, TheGradientNormIsThatBeforeClipping) {
  std::vector<float> a{1, 1}, b{1}, a_gradient, b_gradient{100};
  OptimizerOptions options = OptimizerOptions::sgd(.1);
  options.not_finite = NotFinite::skip;
  options.groups = {{.names = {"b"}, .clip_norm = 1}};
  for (const double clip_norm : {0.0, 1.0, 1e30}) {
    options.clip_norm = clip_norm;
    Optimizer optimizer(options);
    EXPECT_TRUE(std::isnan(optimizer.gradient_norm()));
    for (const float last : {4.0f, std::numeric_limits<float>::infinity()}) {
      a_gradient = {3, last};
      optimizer.step(std::vector<ParameterView>{{"a", Shape{{2}, 1}, a, a_gradient},
                                                {"b", Shape{{1}, 1}, b, b_gradient}});
      if (clip_norm > 0 && std::isfinite(last)) {
        EXPECT_EQ(optimizer.gradient_norm(), 5);
      } else {
        EXPECT_TRUE(std::isnan(optimizer.gradient_norm()));
      }
    }
  }
}

TEST(Optimizers, RejectWrongOptions) {
  const auto message = [](auto change) {
    return message_of([&] {
      OptimizerOptions options = OptimizerOptions::sgd();
      change(options);
      Optimizer optimizer(options);
      std::vector<float> value{1}, gradient{1};
      optimizer.step(std::vector<ParameterView>{{"w", Shape{{1}, 1}, value, gradient}});
    });
  };
  // A step computes with floats.
  EXPECT_EQ(message([](auto& o) { o.update.epsilon = 1e-60; }),
            "epsilon: expected a finite value above 0, also as a float, got 1e-60");
  EXPECT_EQ(message([](auto& o) { o.update.epsilon = 1e-320; }),
            "epsilon: expected a finite value above 0, also as a float, got 1e-320");
  EXPECT_EQ(message([](auto& o) { o.update.beta1 = 1 - 1e-12; }),
            "beta1: expected a value in [0, 1), also as a float, got 0.999999999999");
  EXPECT_EQ(message([](auto& o) { o.weight_decay = 1e39; }),
            "weight_decay: expected a finite value of at least 0, also as a float, got 1e+39");
  EXPECT_EQ(message([](auto& o) { o.update.learning_rate = 1e39; }),
            "learning_rate: expected a finite value of at least 0, also as a float, got 1e+39");
  EXPECT_EQ(message([](auto& o) { o.update.momentum = 1; }), "momentum: expected a value in [0, 1), got 1");
  EXPECT_EQ(message([](auto& o) { o.weight_decay = -1; }),
            "weight_decay: expected a finite value of at least 0, got -1");
  EXPECT_EQ(message([](auto& o) { o.groups = {{.names = {"w"}, .learning_rate_factor = -2}}; }),
            "groups[0].learning_rate_factor: expected a finite factor of at least 0, got -2");
  EXPECT_EQ(message([](auto& o) {
              o.groups = {{.names = {"w"}}, {.names = {"w"}}};
            }),
            "groups[1].names: 'w' occurs twice");
  EXPECT_EQ(message([](auto& o) { o.groups = {{.names = {"v"}}}; }),
            "groups[0].names: expected names of w, got 'v'");
  EXPECT_EQ(message([](auto& o) { o.update.method = static_cast<Method>(7); }),
            "method: expected a value of its enumeration, got 7");
}

TEST(Optimizers, RejectOverlappingViews) {
  std::vector<float> values(4, 1), gradients(4, 1);
  const std::span<float> value(values), gradient(gradients);
  const auto view = [](const char* name, std::span<float> of, std::span<float> slope) {
    return ParameterView{name, Shape{{2}, 1}, of, slope};
  };
  const auto reject = [&](const std::vector<ParameterView>& views, const std::string& message) {
    Optimizer optimizer(OptimizerOptions::sgd(.1));
    EXPECT_EQ(message_of([&] { optimizer.step(views); }), message);
    EXPECT_EQ(values, std::vector<float>(4, 1));
    EXPECT_EQ(gradients, std::vector<float>(4, 1));
    EXPECT_EQ(optimizer.steps(), 0);
  };
  reject({view("b", value.first(2), gradient.first(2)), view("a", value.subspan(1, 2), gradient.last(2))},
         "parameter 'a': overlaps 'b'");
  const std::vector<ParameterView> one_gradient{view("a", value.first(2), gradient.first(2)),
                                                view("b", value.last(2), gradient.first(2))};
  reject(one_gradient, "parameter 'b': overlaps 'a'");
  EXPECT_EQ(message_of([&] { clip_gradients(one_gradient, .1); }), "parameter 'b': overlaps 'a'");
  reject({view("a", value.first(2), value.subspan(1, 2))}, "parameter 'a': overlaps 'a'");
}

TEST(Optimizers, RejectNumbersOfAFileThatNoStepWrites) {
  io::TensorFile file;
  std::vector<float> value{1}, gradient{1};
  Adam adam;
  adam.step(std::vector<ParameterView>{{"w", Shape{{1}, 1}, value, gradient}});
  adam.save(file);
  const auto message = [&](auto change) {
    io::TensorFile changed = file;
    change(changed);
    return message_of([&] { adam.load(changed); });
  };
  EXPECT_EQ(message([](auto& f) { f.metadata["adam.steps"] = "9223372036854775807"; }),
            "file metadata 'adam.steps': expected a number of steps, got '9223372036854775807'");
  EXPECT_EQ(message([](auto& f) { f.metadata["adam.learning_rate"] = "1e39"; }),
            "file metadata 'adam.learning_rate': expected a finite value of at least 0, got '1e39'");
  EXPECT_EQ(message([](auto& f) { f.tensors["adam.w.v"] = io::make_tensor({1}, std::vector<float>{-1}); }),
            "file tensor 'adam.w.v': expected finite values of at least 0, got -1");
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [number, text] : {std::pair(NAN, "nan"), {infinity, "inf"}, {-infinity, "-inf"}}) {
    const io::Tensor moment = io::make_tensor({1}, std::vector<float>{number});
    EXPECT_EQ(message([&](auto& f) { f.tensors["adam.w.m"] = moment; }),
              str_cat("file tensor 'adam.w.m': expected finite values, got ", text));
    EXPECT_EQ(message([&](auto& f) { f.tensors["adam.w.v"] = moment; }),
              str_cat("file tensor 'adam.w.v': expected finite values of at least 0, got ", text));
  }
}

TEST(Optimizers, ClippingLeavesAnInfiniteGradient) {
  std::vector<float> value{1, 1}, gradient{1, std::numeric_limits<float>::infinity()};
  const std::vector<float> before = gradient;
  const std::vector<ParameterView> parameters{{"w", Shape{{2}, 1}, value, gradient}};
  EXPECT_EQ(clip_gradients(parameters, 1), std::numeric_limits<double>::infinity());
  EXPECT_EQ(gradient, before);
}

TEST(Schedules, HaveTheirShapes) {
  const Schedule constant{.learning_rate = 2, .warm_up = 4};
  EXPECT_DOUBLE_EQ(constant.at(0), .5);
  EXPECT_DOUBLE_EQ(constant.at(3), 2);
  EXPECT_DOUBLE_EQ(constant.at(1000), 2);
  const Schedule cosine{
      .learning_rate = 2, .decay = Decay::cosine, .warm_up = 10, .steps = 110, .final_learning_rate = 1};
  EXPECT_DOUBLE_EQ(cosine.at(10), 2);
  EXPECT_DOUBLE_EQ(cosine.at(60), 1.5);
  EXPECT_DOUBLE_EQ(cosine.at(35), 1 + .5 * (1 + std::sqrt(.5)));
  EXPECT_DOUBLE_EQ(cosine.at(110), 1);
  EXPECT_DOUBLE_EQ(cosine.at(500), 1);
  const Schedule step{.learning_rate = 1, .decay = Decay::step, .interval = 5, .factor = .5};
  EXPECT_DOUBLE_EQ(step.at(4), 1);
  EXPECT_DOUBLE_EQ(step.at(5), .5);
  EXPECT_DOUBLE_EQ(step.at(14), .25);
  EXPECT_THROW(step.at(-1), Error);
  EXPECT_THROW((Schedule{.decay = Decay::cosine, .warm_up = 5, .steps = 5}.at(7)), Error);
  EXPECT_THROW((Schedule{.decay = Decay::step, .interval = 0}.at(7)), Error);
  EXPECT_THROW((Schedule{.decay = Decay::cosine, .warm_up = 5}.at(0)), Error);
  EXPECT_THROW((Schedule{.decay = static_cast<Decay>(3), .warm_up = 5}.at(0)), Error);
  EXPECT_EQ(message_of([] { Schedule{.learning_rate = 1, .decay = Decay::step, .factor = 10}.at(1000); }),
            "schedule: expected a finite learning rate at step 1000, got inf");
}

TEST(Trainer, MatchesTheLoopWithAnyOptimizer) {
  const Spec spec{.cell = Cell::lstm, .rule = Rule::hard_clip, .inputs = 3, .neurons = 6};
  for (OptimizerOptions options : all_options) {
    options.groups = {
        {.names = {"alpha", "w"}, .learning_rate_factor = .5, .weight_decay = .01, .clip_norm = .05}};
    options.clip_norm = .2;
    const Episode episode(spec, 4, 2, 5);
    Network want(spec, {.batch = 2, .device = Device::cpu(1), .seed = 3}),
        got(spec, {.batch = 2, .device = Device::cpu(1), .seed = 3});
    Optimizer optimizer(options);
    Trainer trainer(got, {.optimizer = options});
    for (int iteration = 0; iteration < 3; ++iteration) {
      want.zero_gradients();
      const double loss = squared_error_passes(want, episode);
      optimizer.step(want.parameters());
      EXPECT_DOUBLE_EQ(trainer.step(episode.sequence(), episode.target), loss);
    }
    io::TensorFile of_loop, of_trainer;
    want.save(of_loop);
    got.save(of_trainer);
    optimizer.save(of_loop);
    trainer.save(of_trainer);
    EXPECT_EQ(of_loop.tensors, of_trainer.tensors);
    EXPECT_EQ(of_loop.metadata, of_trainer.metadata);
  }
}

TEST(Trainer, TakesTheCallersLoss) {
  const Spec spec{.inputs = 3, .neurons = 6};
  const Episode episode(spec, 4, 2, 5);
  Network want(spec, {.batch = 2, .device = Device::cpu(1)}),
      got(spec, {.batch = 2, .device = Device::cpu(1)});
  Trainer by_target(want), by_function(got);
  for (int iteration = 0; iteration < 3; ++iteration) {
    const double loss = by_target.step(episode.sequence(), episode.target);
    const double found = by_function.step_with(
        episode.sequence(), [&](auto y, auto dy) { return mse_loss(y, episode.target, dy); });
    EXPECT_DOUBLE_EQ(loss, found);
  }
  EXPECT_TRUE(std::equal(want.parameter("w").begin(), want.parameter("w").end(), got.parameter("w").begin()));
  struct Stop {};
  EXPECT_THROW(by_function.step_with(episode.sequence(), [](auto, auto) -> double { throw Stop(); }), Stop);
  EXPECT_THROW(by_function.step_with(episode.sequence(), nullptr), Error);
  EXPECT_EQ(by_function.steps(), 3);
}

TEST(Optimizers, AGroupMayNameAFrozenParameter) {
  constexpr std::int64_t T = 3, B = 2, N = 5;
  const std::vector<float> u = noise(T * B * N, 1);
  OptimizerOptions options = OptimizerOptions::sgd(.1);
  const auto train = [&](const char* name, const io::TensorFile* resumed) {
    Network network({.rule = Rule::oja, .rate = Rate::modulated, .neurons = N},
                    {.batch = B, .device = Device::cpu(1)});
    network.set_trainable("alpha", false);
    options.groups = {{.names = {name}, .weight_decay = .1}};
    Trainer trainer(network, {.optimizer = options});
    if (resumed != nullptr) trainer.load(*resumed);
    trainer.step({.steps = T, .u = u}, u);
    io::TensorFile file;
    trainer.save(file);
    return file;
  };
  const io::TensorFile file = train("alpha", nullptr);
  train("alpha", &file);
  for (const io::TensorFile* resumed : {static_cast<const io::TensorFile*>(nullptr), &file}) {
    expect_error([&] { train("alfa", resumed); }, ErrorCode::invalid_argument, "groups[0].names: expected");
  }
}

}  // namespace
}  // namespace plasticity::testing
