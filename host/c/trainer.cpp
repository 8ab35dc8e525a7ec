#include "c/network.hpp"

using namespace plasticity;
using c::guarded, c::not_null;

namespace {

TrainerOptions to_options(const plasticity_trainer_options& from) {
  TrainerOptions to{.adam = c::to_options(from.adam),
                    .clip_norm = from.clip_norm,
                    .reduction = static_cast<Reduction>(from.reduction)};
  if (from.communicator != nullptr) to.communicator = from.communicator->communicator.get();
  if (from.optimizer != nullptr) to.optimizer = c::to_options(*from.optimizer);
  return to;
}

Network& in_float(plasticity_network& owner, const char* name) {
  Network* const network = std::get_if<Network>(&owner.network);
  if (network == nullptr)
    throw_error(ErrorCode::unsupported, name, "a network of precision f32 or bf16", "f64");
  return *network;
}

Module to_module(const plasticity_module& from, const std::string& name) {
  const int given = (from.network != nullptr) + (from.stack != nullptr) + (from.parameters != nullptr);
  if (given != 1) bad_argument(name, "one of network, stack and parameters", str_cat(given));
  if (from.network != nullptr) return in_float(*from.network, (name + ".network").c_str());
  if (from.stack != nullptr) return from.stack->stack;
  return c::to_views(from.parameters, from.parameter_count);
}

/// Ends an iteration whose callback has returned an error.
struct CallbackFailed {
  plasticity_status status;
};

}  // namespace

void plasticity_trainer_options_init(plasticity_trainer_options* options) {
  if (options == nullptr) return;
  plasticity_adam_options_init(&options->adam);
  options->clip_norm = TrainerOptions{}.clip_norm;
  options->reduction = PLASTICITY_MEAN;
  options->optimizer = nullptr;
  options->communicator = nullptr;
}

plasticity_status plasticity_trainer_create(plasticity_network* network,
                                            const plasticity_trainer_options* options,
                                            plasticity_trainer** trainer) {
  return guarded([&] {
    plasticity_trainer*& out = not_null(trainer, "trainer");
    plasticity_network& owner = not_null(network, "network");
    const plasticity_trainer_options& from = not_null(options, "options");
    Network& trained = in_float(owner, "network");
    out = new plasticity_trainer{&trained, Trainer(trained, to_options(from)), owner.life};
  });
}

plasticity_status plasticity_trainer_create_modules(const plasticity_module* modules, size_t count,
                                                    const plasticity_trainer_options* options,
                                                    plasticity_trainer** trainer) {
  return guarded([&] {
    plasticity_trainer*& out = not_null(trainer, "trainer");
    const plasticity_trainer_options& from = not_null(options, "options");
    c::check_count("modules", count);
    std::vector<Module> list;
    for (std::size_t k = 0; k < count; ++k)
      list.push_back(to_module((&not_null(modules, "modules"))[k], str_cat("modules[", k, "]")));
    out = new plasticity_trainer{nullptr, Trainer(std::move(list), to_options(from))};
  });
}

void plasticity_trainer_destroy(plasticity_trainer* trainer) { delete trainer; }

plasticity_status plasticity_trainer_step(plasticity_trainer* trainer, int64_t steps,
                                          const plasticity_argument* list, size_t count, double* loss) {
  return guarded([&] {
    plasticity_trainer& owner = not_null(trainer, "trainer");
    if (owner.network == nullptr)
      bad_argument("trainer", "a trainer of one network", "one of a list of modules");
    if (owner.life.expired())
      throw Error(ErrorCode::invalid_argument, "trainer: its network has been destroyed");
    const Network& network = *owner.network;
    c::Arguments arguments(list, count, Device::cpu(1));
    const Sequence sequence = c::take_sequence(arguments, network, steps);
    const Shape all{{steps, network.batch(), network.spec().neurons}, 3}, rows{{steps, network.batch()}, 2};
    const auto elements = static_cast<std::size_t>(all.elements());
    const auto* labels = arguments.take<const std::int64_t>("labels", rows);
    const auto* target = arguments.take<const float>("target", all);
    const auto* mask = arguments.take<const std::uint8_t>("target_mask", all);
    const c::RequestedOutputs<float> outputs(arguments, network, steps);
    arguments.check_all_used();
    if (labels != nullptr && (target != nullptr || mask != nullptr)) {
      bad_argument("labels", "no tensor, because target or target_mask is given", "a tensor");
    }
    const double result =
        labels != nullptr
            ? owner.trainer.step_labels(sequence, {labels, static_cast<std::size_t>(rows.elements())})
            : owner.trainer.step(sequence, {target, target == nullptr ? 0 : elements},
                                 {mask, mask == nullptr ? 0 : elements});
    if (loss != nullptr) *loss = result;
    if (outputs.y != nullptr) c::copy_to(outputs.y, owner.trainer.y());  // on a GPU y() downloads it
    if (outputs.modulation != nullptr) c::copy_to(outputs.modulation, owner.trainer.modulation());
  });
}

plasticity_status plasticity_trainer_step_iteration(plasticity_trainer* trainer,
                                                    plasticity_iteration iteration, void* context,
                                                    double* loss) {
  plasticity_status of_callback = PLASTICITY_OK;
  const plasticity_status status = guarded([&] {
    plasticity_trainer& owner = not_null(trainer, "trainer");
    if (iteration == nullptr) bad_argument("iteration", "a function", "null");
    const std::uint64_t errors_before = c::stored_errors();
    try {
      const double result = owner.trainer.step([&] {
        double value = 0;
        const plasticity_status returned = iteration(context, &value);
        if (returned != PLASTICITY_OK) throw CallbackFailed{returned};
        return value;
      });
      if (loss != nullptr) *loss = result;
    } catch (const CallbackFailed& failed) {
      of_callback = failed.status;
      if (c::stored_errors() == errors_before) {
        const auto got =
            str_cat(plasticity_status_name(of_callback), " (", static_cast<int>(of_callback), ")");
        c::store_error(of_callback, str_cat("iteration: expected ok, got ", got).c_str());
      }
    }
  });
  return status == PLASTICITY_OK ? of_callback : status;
}

plasticity_status plasticity_trainer_set_learning_rate(plasticity_trainer* trainer, double learning_rate) {
  return guarded([&] { not_null(trainer, "trainer").trainer.set_learning_rate(learning_rate); });
}

plasticity_status plasticity_trainer_skipped(const plasticity_trainer* trainer, int64_t* skipped) {
  return guarded([&] { not_null(skipped, "skipped") = not_null(trainer, "trainer").trainer.skipped(); });
}

plasticity_status plasticity_trainer_gradient_norm(const plasticity_trainer* trainer, double* norm) {
  return guarded([&] { not_null(norm, "norm") = not_null(trainer, "trainer").trainer.gradient_norm(); });
}

plasticity_status plasticity_trainer_learning_rate(const plasticity_trainer* trainer, double* learning_rate) {
  return guarded([&] {
    not_null(learning_rate, "learning_rate") = not_null(trainer, "trainer").trainer.learning_rate();
  });
}

plasticity_status plasticity_trainer_steps(const plasticity_trainer* trainer, int64_t* steps) {
  return guarded([&] { not_null(steps, "steps") = not_null(trainer, "trainer").trainer.steps(); });
}
