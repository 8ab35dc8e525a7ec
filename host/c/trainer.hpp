#pragma once

#include "c/network.hpp"
#include "plasticity/trainer.hpp"

struct plasticity_trainer {
  plasticity_network& network;
  plasticity::Trainer trainer;
};
