#pragma once

// The whole library. Start at Network; go down to Plan for buffers and streams of your own.
#include "plasticity/arguments.hpp"
#include "plasticity/device.hpp"
#include "plasticity/device_memory.hpp"
#include "plasticity/error.hpp"
#include "plasticity/io/chart.hpp"
#include "plasticity/io/idx.hpp"
#include "plasticity/io/png.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/linear.hpp"
#include "plasticity/loss.hpp"
#include "plasticity/network.hpp"
#include "plasticity/optimizer.hpp"
#include "plasticity/plan.hpp"
#include "plasticity/reference.hpp"
#include "plasticity/spec.hpp"
#include "plasticity/version.hpp"
