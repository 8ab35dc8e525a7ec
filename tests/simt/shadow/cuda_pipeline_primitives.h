// The executor's include path finds this header before the toolkit's.
#pragma once

#include "simt/device.hpp"
