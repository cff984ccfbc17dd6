#include <pthread.h>

#include "serve/socket.h"
