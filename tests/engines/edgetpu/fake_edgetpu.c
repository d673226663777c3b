/* An Edge TPU without one: a library that a TFLite runtime takes for libedgetpu.
 *
 *     gcc -shared -fPIC -O2 -DBUILT_ON='"<sha>"' -o libedgetpu.so.1 fake_edgetpu.c
 *
 * It claims the operation edgetpu-custom-op, so a model compiled for the Edge TPU loads and runs: every output is
 * "zero" but for one element, whose place depends on every byte of the input. It offers what edged uses of the
 * real library: tflite_plugin_create_delegate, tflite_plugin_destroy_delegate, edgetpu_list_devices,
 * edgetpu_free_devices, edgetpu_version.
 *
 * The environment variable FAKE_EDGETPU names a file that stands for the devices. While it exists they are
 * plugged in; its words, read when one is opened, say how they behave:
 *
 *     usb=N pci=N      how many there are (1 and 0)
 *     open_ms=N        opening takes so long, with the interpreter lock of Python held, as the real one
 *     invoke_ms=N      an invoke takes so long
 *     refuse=1         opening fails with a message; refuse=2: without one, as the real one does
 *     claim=0          nothing of the model is taken
 *     crash=open       segmentation fault while opening; crash=prepare: while the model is loaded
 *     error=N abort=N crash=N hang=N shrink=N exit=N   what happens at the N-th invoke and after; abort is what the
 *                      real one does on a USB error, shrink gives an output of another size
 *
 * When the file is gone at an invoke, the device was unplugged: abort. A device belongs to one process at a time.
 * What is opened is written to a file beside it, with ".log" appended: the device and all options.
 *
 * Declarations follow tensorflow/lite/core/c/common.h as of 2.14; the structures have the same layout in
 * ai-edge-litert 2.x. They are written out here so that no headers are needed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#ifndef BUILT_ON
#define BUILT_ON "5bc9d26649cca274750ad3625bd93422617eed4b" /* TensorFlow 2.16.1 */
#endif

enum { OK = 0, FAILED = 1 };

typedef struct { int count; int items[]; } Ints;

typedef struct TfContext TfContext;
typedef struct TfDelegate TfDelegate;

typedef struct {
    int type;
    union { void *raw; int8_t *i8; uint8_t *u8; } data;
    Ints *dims;
    struct { float scale; int32_t zero_point; } quantised;
    int allocation;
    size_t bytes;
    const void *mapped;
    const char *name;
    TfDelegate *delegate;
    int handle;
    bool stale, variable;
    struct { int kind; void *parameters; } quantisation;
    void *sparsity;
    const Ints *signature;
} TfTensor;

typedef struct {
    Ints *inputs, *outputs, *intermediates, *temporaries;
    void *state, *builtin;
    const void *custom;
    int custom_bytes;
    TfDelegate *delegate;
    bool side_effects;
} TfNode;

typedef struct {
    void *(*init)(TfContext *, const char *, size_t);
    void (*free)(TfContext *, void *);
    int (*prepare)(TfContext *, TfNode *);
    int (*invoke)(TfContext *, TfNode *);
    const char *(*profile)(const TfContext *, const TfNode *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *external, *async;
    uint64_t in_place;
    uint64_t reserve[8]; /* a runtime that knows more fields reads zeros */
} TfKernel;

struct TfContext {
    size_t tensor_count;
    int (*execution_plan)(TfContext *, Ints **);
    TfTensor *tensors;
    void *runtime;
    int (*resize)(TfContext *, TfTensor *, Ints *);
    void (*report)(TfContext *, const char *, ...);
    int (*add_tensors)(TfContext *, int, int *);
    int (*node)(TfContext *, int, TfNode **, TfKernel **);
    int (*replace)(TfContext *, TfKernel, const Ints *, TfDelegate *);
};

struct TfDelegate {
    void *state;
    int (*prepare)(TfContext *, TfDelegate *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *opaque;
};

/* The devices and how they behave. */

static struct {
    int usb, pci, open_ms, invoke_ms, refuse, claim;
    int error, abort, crash, hang, shrink, exit;
    bool crash_open, crash_prepare;
} plug;
static int invokes;
static int lock = -1;

static const char *plug_path(void) {
    const char *path = getenv("FAKE_EDGETPU");
    return path ? path : "";
}

static bool plugged(void) {
    return !*plug_path() || access(plug_path(), F_OK) == 0;
}

static void read_plug(void) {
    memset(&plug, 0, sizeof plug);
    plug.usb = plug.claim = 1;
    const struct { const char *name; int *value; } known[] = {
        {"usb", &plug.usb}, {"pci", &plug.pci}, {"open_ms", &plug.open_ms}, {"invoke_ms", &plug.invoke_ms},
        {"refuse", &plug.refuse}, {"claim", &plug.claim}, {"error", &plug.error}, {"abort", &plug.abort},
        {"crash", &plug.crash}, {"hang", &plug.hang}, {"shrink", &plug.shrink}, {"exit", &plug.exit},
    };
    FILE *file = fopen(plug_path(), "r");
    char word[64];
    while (file && fscanf(file, "%63s", word) == 1) {
        char *value = strchr(word, '=');
        if (!value) continue;
        *value++ = 0;
        if (!strcmp(word, "crash") && !strcmp(value, "open")) plug.crash_open = true;
        else if (!strcmp(word, "crash") && !strcmp(value, "prepare")) plug.crash_prepare = true;
        else
            for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (!strcmp(word, known[i].name)) *known[i].value = atoi(value);
    }
    if (file) fclose(file);
}

/* Which device an option "device" means, as "usb0"; empty if there is none such. */
static void find_device(const char *wanted, char *found, size_t room) {
    int number = 0;
    *found = 0;
    if (sscanf(wanted, "usb:%d", &number) == 1) {
        if (number < plug.usb) snprintf(found, room, "usb%d", number);
    } else if (sscanf(wanted, "pci:%d", &number) == 1) {
        if (number < plug.pci) snprintf(found, room, "pci%d", number);
    } else if (!*wanted || sscanf(wanted, ":%d", &number) == 1) {
        if (number < plug.pci) snprintf(found, room, "pci%d", number);
        else if (number - plug.pci < plug.usb) snprintf(found, room, "usb%d", number - plug.pci);
    }
}

/* One process owns a device; the kernel frees the lock when that process dies, however it does. */
static bool take(const char *device) {
    char path[4096];
    if (!*plug_path()) return true;
    snprintf(path, sizeof path, "%s.%s", plug_path(), device);
    lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
}

static void write_log(const char *device, char **keys, char **values, size_t count) {
    char path[4096], line[1024];
    if (!*plug_path()) return;
    snprintf(path, sizeof path, "%s.log", plug_path());
    int used = snprintf(line, sizeof line, "%s", device);
    for (size_t i = 0; i < count; i++)
        used += snprintf(line + used, sizeof line - used, " %s=%s", keys[i], values[i]);
    used += snprintf(line + used, sizeof line - used, "\n");
    int log = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (log >= 0 && write(log, line, used) != used) fprintf(stderr, "fake edgetpu: no log\n");
    if (log >= 0) close(log);
}

static void transfer_error(void) {
    fprintf(stderr, "F driver/usb/usb_driver.cc:857] USB transfer error 2 [LibUsbDataOutCallback]\n");
    abort();
}

/* The operation. */

static bool due(int at) { return at && invokes >= at; }

static void *op_init(TfContext *c, const char *b, size_t n) { (void)c; (void)b; (void)n; return &plug; }
static void op_free(TfContext *c, void *s) { (void)c; (void)s; }
static int op_prepare(TfContext *c, TfNode *n) {
    (void)c;
    (void)n;
    if (plug.crash_prepare) raise(SIGSEGV);
    return OK;
}

static uint64_t fingerprint(const TfTensor *tensor) {
    uint64_t hash = 1469598103934665603u, word;
    for (size_t at = 0; at < tensor->bytes; at += sizeof word) {
        size_t left = tensor->bytes - at;
        word = 0;
        memcpy(&word, tensor->data.u8 + at, left < sizeof word ? left : sizeof word);
        hash = (hash ^ word) * 1099511628211u;
    }
    return hash ^ hash >> 32;
}

static int op_invoke(TfContext *context, TfNode *node) {
    invokes++;
    if (plug.invoke_ms) usleep(1000 * plug.invoke_ms);
    if (!plugged() || due(plug.abort)) transfer_error();
    if (due(plug.exit)) _exit(3);
    if (due(plug.crash)) raise(SIGSEGV);
    while (due(plug.hang)) pause();
    if (due(plug.error)) {
        context->report(context, "fake edgetpu: the device does not obey");
        return FAILED;
    }
    uint64_t hash = fingerprint(&context->tensors[node->inputs->items[0]]);
    for (int i = 0; i < node->outputs->count; i++) {
        TfTensor *out = &context->tensors[node->outputs->items[i]];
        memset(out->data.raw, (uint8_t)out->quantised.zero_point, out->bytes);
        if (out->bytes) out->data.u8[hash % out->bytes] = 100;
        if (due(plug.shrink)) {
            Ints *shape = malloc(sizeof *shape + sizeof(int));
            shape->count = 1;
            shape->items[0] = 1;
            out->dims = shape; /* behind the back of the runtime, which would notice and fail the invoke */
            out->bytes = 1;
        }
    }
    return OK;
}

/* The delegate. */

static int delegate_prepare(TfContext *context, TfDelegate *delegate) {
    Ints *plan;
    if (context->execution_plan(context, &plan)) return FAILED;
    Ints *claimed = malloc(sizeof *claimed + plan->count * sizeof(int));
    claimed->count = 0;
    for (int i = 0; i < plan->count; i++) {
        TfNode *node;
        TfKernel *kernel;
        if (context->node(context, plan->items[i], &node, &kernel)) return FAILED;
        if (kernel->custom_name && !strcmp(kernel->custom_name, "edgetpu-custom-op"))
            claimed->items[claimed->count++] = plan->items[i];
    }
    TfKernel kernel;
    memset(&kernel, 0, sizeof kernel);
    kernel.init = op_init;
    kernel.free = op_free;
    kernel.prepare = op_prepare;
    kernel.invoke = op_invoke;
    kernel.custom_name = "FakeEdgeTpu";
    kernel.version = 1;
    int status = OK;
    if (plug.claim && claimed->count) status = context->replace(context, kernel, claimed, delegate);
    free(claimed);
    return status;
}

EXPORT TfDelegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                                 void (*report)(const char *)) {
    const char *wanted = "";
    char device[32];
    for (size_t i = 0; i < count; i++)
        if (!strcmp(keys[i], "device")) wanted = values[i];
    if (!plugged()) return NULL;
    read_plug();
    invokes = 0;
    if (plug.open_ms) usleep(1000 * plug.open_ms);
    if (plug.crash_open) raise(SIGSEGV);
    if (plug.refuse == 1 && report) report("fake edgetpu: this device takes nobody");
    if (plug.refuse) return NULL;
    find_device(wanted, device, sizeof device);
    if (!*device || !take(device)) return NULL;
    write_log(device, keys, values, count);
    TfDelegate *delegate = calloc(1, sizeof *delegate);
    delegate->prepare = delegate_prepare;
    delegate->flags = 1; /* allow dynamic tensors: else the unknown operation is refused before prepare() */
    return delegate;
}

EXPORT void tflite_plugin_destroy_delegate(TfDelegate *delegate) {
    if (lock >= 0) close(lock);
    lock = -1;
    free(delegate);
}

/* Listing, as tflite/public/edgetpu_c.h has it. */

struct edgetpu_device { int type; const char *path; };

EXPORT struct edgetpu_device *edgetpu_list_devices(size_t *count) {
    static char paths[16][64];
    *count = 0;
    if (!plugged()) return NULL;
    read_plug();
    if (plug.crash_open) raise(SIGSEGV);
    struct edgetpu_device *devices = calloc(16, sizeof *devices);
    for (int i = 0; i < plug.pci && *count < 16; i++, (*count)++) {
        snprintf(paths[*count], sizeof *paths, "/dev/apex_%d", i);
        devices[*count] = (struct edgetpu_device){0, paths[*count]};
    }
    for (int i = 0; i < plug.usb && *count < 16; i++, (*count)++) {
        snprintf(paths[*count], sizeof *paths, "/sys/bus/usb/devices/2-%d", i + 1);
        devices[*count] = (struct edgetpu_device){1, paths[*count]};
    }
    return devices;
}

EXPORT void edgetpu_free_devices(struct edgetpu_device *devices) { free(devices); }

EXPORT const char *edgetpu_version(void) { return "BuildLabel(TENSORFLOW_COMMIT=" BUILT_ON ")"; }
