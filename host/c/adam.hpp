#pragma once

#include "plasticity/optimizer.hpp"
#include "plasticity/plasticity.h"

struct plasticity_adam {
  plasticity::Adam adam;
};
