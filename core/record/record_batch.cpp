#include "core/record/record_batch.hpp"
