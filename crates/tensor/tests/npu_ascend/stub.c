/* A stand-in for AscendCL with its names: it checks how it is called and computes on the CPU.
 *
 * Work that is started is done when the stream is waited for, so that a missing wait gives wrong results. What is wrong
 * with a call is returned as an error or written down as a violation. Written from the documented signatures. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_INITIALISED = 100001, REPEATED = 100002, NO_DEVICE = 107002, BAD = 107000, BAD_TENSOR = 161002, BAD_EXECUTOR = 561103, INJECTED = 507899 };

typedef struct { int64_t dim[4], stride[4]; int rank; int64_t offset, storage; float *data; } Tensor;
typedef struct { int64_t n; int64_t v[8]; } Array;
typedef struct Executor Executor;
struct Executor { void (*run)(Executor *); Tensor t[9]; bool has[9]; int64_t i[8]; double x[2]; uint64_t bytes; void *workspace; Executor *next; };

/* State of the process. */
static bool initialised;
static _Thread_local bool device_set;
static long live_memory, live_tensors, live_arrays, live_scalars, live_streams, live_executors, violations;
static Executor *queue, **last = &queue;
static char log_text[1 << 18];
static size_t log_len;
static const char *fail_name;
static long fail_after;
static char message[256];
static struct { char *start; size_t bytes; } blocks[4096];

const char *stub_log(void) { return log_text; }
long stub_live(int what) {
    long all[] = {live_memory, live_tensors, live_arrays, live_scalars, live_streams, live_executors};
    return all[what];
}
long stub_violations(void) { return violations; }
/* Lets the call of this name fail after it was right `after` times; null stops that. */
void stub_fail(const char *name, long after) { free((void *)fail_name); fail_name = name ? strdup(name) : NULL; fail_after = after; }
void stub_forget_tensors(void) { live_tensors = 0; }
void stub_reset(void) { log_len = 0; log_text[0] = 0; violations = 0; message[0] = 0; }

static bool entered(const char *name) {
    size_t n = strlen(name);
    if (log_len + n + 2 < sizeof log_text) { memcpy(log_text + log_len, name, n); log_len += n; log_text[log_len++] = ';'; log_text[log_len] = 0; }
    if (fail_name && !strcmp(fail_name, name) && fail_after-- == 0) { snprintf(message, sizeof message, "injected into %s", name); return false; }
    return true;
}
static void violation(const char *what) { violations++; snprintf(message, sizeof message, "violation: %s", what); entered(message); }

#define ENTER(name) do { if (!entered(name)) return INJECTED; } while (0)
#define ON_DEVICE() do { if (!initialised) return NOT_INITIALISED; if (!device_set) { snprintf(message, sizeof message, "no device is set on this thread"); return NO_DEVICE; } } while (0)

const char *aclGetRecentErrMsg(void) { return message; }
const char *aclrtGetSocName(void) { return "Stub910"; }
int aclInit(const char *config) { (void)config; ENTER("aclInit"); if (initialised) return REPEATED; initialised = true; return 0; }
int aclrtGetDeviceCount(uint32_t *n) { ENTER("aclrtGetDeviceCount"); if (!initialised) return NOT_INITIALISED; *n = 2; return 0; }
int aclrtSetDevice(int32_t d) { ENTER("aclrtSetDevice"); if (!initialised) return NOT_INITIALISED; if (d < 0 || d > 1) return BAD; device_set = true; return 0; }
int aclrtCreateStream(void **s) { ENTER("aclrtCreateStream"); ON_DEVICE(); *s = malloc(1); live_streams++; return 0; }
int aclrtDestroyStream(void *s) { ENTER("aclrtDestroyStream"); ON_DEVICE(); if (queue) violation("stream destroyed while work waits"); free(s); live_streams--; return 0; }

static void drop(Executor *e) { free(e); live_executors--; }
int aclrtSynchronizeStream(void *s) {
    bool fails = !entered("aclrtSynchronizeStream");
    ON_DEVICE();
    if (!s) return BAD;
    if (fails) return INJECTED; /* what was started may still run */
    while (queue) { Executor *e = queue; queue = e->next; e->run(e); drop(e); }
    last = &queue;
    return 0;
}

static int block_of(const void *p) { for (int i = 0; i < 4096; i++) if (blocks[i].start && (char *)p >= blocks[i].start && (char *)p < blocks[i].start + blocks[i].bytes) return i; return -1; }
int aclrtMalloc(void **p, size_t n, int policy) {
    (void)policy; ENTER("aclrtMalloc"); ON_DEVICE();
    int i = 0; while (i < 4096 && blocks[i].start) i++;
    if (i == 4096 || n == 0) return BAD;
    *p = malloc(n); memset(*p, 0xfe, n); blocks[i].start = *p; blocks[i].bytes = n; live_memory++;
    return 0;
}
static void run_nothing(Executor *e) { (void)e; }
int aclrtFree(void *p) {
    ENTER("aclrtFree");
    int i = block_of(p);
    if (i < 0) { violation("free of unknown memory"); return BAD; }
    for (Executor *e = queue; e; e = e->next) { if (e->workspace == p) violation("workspace freed while work waits"); for (int k = 0; k < 9; k++) if (e->has[k] && (void *)e->t[k].data == p) { violation("tensor freed while work waits"); e->run = run_nothing; } }
    free(p); blocks[i].start = NULL; live_memory--;
    return 0;
}
int aclrtMemcpy(void *d, size_t room, const void *s, size_t n, int kind) {
    ENTER(kind == 1 ? "h2d" : "d2h"); ON_DEVICE();
    if (n > room) return BAD;
    int i = block_of(kind == 1 ? d : s);
    if (i < 0 || n > blocks[i].bytes) { violation("copy outside of device memory"); return BAD; }
    if (kind == 2 && queue) violation("results copied while work waits");
    memcpy(d, s, n);
    return 0;
}

Tensor *aclCreateTensor(const int64_t *dims, uint64_t n, int type, const int64_t *strides, int64_t offset, int format, const int64_t *storage, uint64_t sn, void *data) {
    if (!entered("aclCreateTensor")) return NULL;
    int i = block_of(data);
    if (n > 4 || type != 0 || (format != 2 && format != 47) || i < 0) { violation("tensor of unknown kind or memory"); return NULL; }
    Tensor *t = calloc(1, sizeof *t);
    t->rank = (int)n; t->offset = offset; t->data = data; t->storage = 1;
    for (uint64_t k = 0; k < sn; k++) t->storage *= storage[k];
    for (uint64_t k = 0; k < n; k++) { t->dim[k] = dims[k]; t->stride[k] = strides[k]; }
    if (4 * (size_t)t->storage > blocks[i].bytes) violation("storage larger than its memory");
    live_tensors++;
    return t;
}
int aclDestroyTensor(const Tensor *t) { ENTER("aclDestroyTensor"); if (t) { free((void *)t); live_tensors--; } return 0; }
void *aclCreateScalar(void *value, int type) { if (!entered("aclCreateScalar") || type != 0) return NULL; float *f = malloc(4); *f = *(float *)value; live_scalars++; return f; }
int aclDestroyScalar(const void *s) { ENTER("aclDestroyScalar"); if (s) { free((void *)s); live_scalars--; } return 0; }
Array *aclCreateIntArray(const int64_t *v, uint64_t n) { if (!entered("aclCreateIntArray") || n > 8) return NULL; Array *a = calloc(1, sizeof *a); a->n = (int64_t)n; for (uint64_t i = 0; i < n; i++) a->v[i] = v[i]; live_arrays++; return a; }
int aclDestroyIntArray(const Array *a) { ENTER("aclDestroyIntArray"); if (a) { free((void *)a); live_arrays--; } return 0; }
Array *aclCreateBoolArray(const bool *v, uint64_t n) { if (!entered("aclCreateBoolArray") || n > 8) return NULL; Array *a = calloc(1, sizeof *a); a->n = (int64_t)n; for (uint64_t i = 0; i < n; i++) a->v[i] = v[i]; live_arrays++; return a; }
int aclDestroyBoolArray(const Array *a) { ENTER("aclDestroyBoolArray"); if (a) { free((void *)a); live_arrays--; } return 0; }
int aclDestroyAclOpExecutor(Executor *e) { ENTER("aclDestroyAclOpExecutor"); drop(e); return 0; }

/* Element (i, j, k) of a tensor. */
static float *at(Tensor *t, int64_t i, int64_t j, int64_t k) {
    int64_t index[3] = {i, j, k}, e = t->offset;
    for (int d = 0; d < t->rank; d++) e += index[d] * t->stride[d];
    if (e < 0 || e >= t->storage) { violation("element outside of its storage"); e = 0; }
    return t->data + e;
}
static bool is(const Tensor *t, int64_t a, int64_t b) { return t && ((b < 0 && t->rank == 1 && t->dim[0] == a) || (b >= 0 && t->rank == 2 && t->dim[0] == a && t->dim[1] == b)); }

static Executor *plan(void (*run)(Executor *), int n, const Tensor **t) {
    Executor *e = calloc(1, sizeof *e);
    e->run = run;
    for (int i = 0; i < n; i++) if (t[i]) { e->t[i] = *t[i]; e->has[i] = true; }
    live_executors++;
    return e;
}
static int give(Executor *e, uint64_t *bytes, Executor **out, uint64_t size) { e->bytes = *bytes = size; *out = e; return 0; }

static int launch(const char *name, void *workspace, uint64_t bytes, Executor *e, void *stream) {
    if (!entered(name)) { drop(e); return INJECTED; }
    ON_DEVICE();
    if (!e || !stream || bytes != e->bytes || (bytes && !workspace)) return BAD_EXECUTOR;
    if (e->workspace || e->next) { violation("executor used twice"); return BAD_EXECUTOR; }
    for (Executor *q = queue; q; q = q->next) if (q == e) { violation("executor used twice"); return BAD_EXECUTOR; }
    if (bytes) { int i = block_of(workspace); if (i < 0 || blocks[i].bytes < bytes) violation("workspace too small"); }
    e->workspace = workspace;
    *last = e; last = &e->next;
    return 0;
}
#define FIRST(name, ...) int name##GetWorkspaceSize(__VA_ARGS__, uint64_t *bytes, Executor **executor)
#define SECOND(name) int name(void *w, uint64_t n, Executor *e, void *s) { return launch(#name, w, n, e, s); }
#define PLAN(name, run, size, ...) do { const Tensor *all[] = {__VA_ARGS__}; Executor *e = plan(run, sizeof all / sizeof *all, all); return give(e, bytes, executor, size); } while (0)
#define CHECK(name, good) do { ENTER(name "GetWorkspaceSize"); if (!(good)) { snprintf(message, sizeof message, name ": shapes"); return BAD_TENSOR; } } while (0)

static void run_matmul(Executor *e) {
    Tensor *a = &e->t[0], *b = &e->t[1], *o = &e->t[2];
    for (int64_t i = 0; i < o->dim[0]; i++) for (int64_t j = 0; j < o->dim[1]; j++) {
        double sum = e->has[3] ? *at(&e->t[3], j, 0, 0) : 0;
        for (int64_t k = 0; k < a->dim[1]; k++) sum += (double)*at(a, i, k, 0) * *at(b, k, j, 0);
        *at(o, i, j, 0) = (float)sum;
    }
}
static bool fits(const Tensor *a, const Tensor *b, const Tensor *o) { return a && b && o && a->rank == 2 && b->rank == 2 && a->dim[1] == b->dim[0] && is(o, a->dim[0], b->dim[1]); }
FIRST(aclnnMatmul, const Tensor *a, const Tensor *b, Tensor *o, int8_t type) { CHECK("aclnnMatmul", fits(a, b, o) && type == 1); PLAN(aclnnMatmul, run_matmul, 64, a, b, o); }
SECOND(aclnnMatmul)
FIRST(aclnnAddmm, const Tensor *c, const Tensor *a, const Tensor *b, const float *beta, const float *alpha, Tensor *o, int8_t type) {
    CHECK("aclnnAddmm", fits(a, b, o) && is(c, o->dim[1], -1) && *beta == 1 && *alpha == 1 && type == 1);
    PLAN(aclnnAddmm, run_matmul, 0, a, b, o, c);
}
SECOND(aclnnAddmm)

static void run_sum(Executor *e) {
    Tensor *x = &e->t[0], *o = &e->t[1];
    for (int64_t j = 0; j < x->dim[1]; j++) { double s = 0; for (int64_t i = 0; i < x->dim[0]; i++) s += *at(x, i, j, 0); *at(o, j, 0, 0) = (float)s; }
}
FIRST(aclnnReduceSum, const Tensor *x, const Array *dims, bool keep, int type, Tensor *o) { CHECK("aclnnReduceSum", x && x->rank == 2 && dims && dims->n == 1 && dims->v[0] == 0 && !keep && type == 0 && is(o, x->dim[1], -1)); PLAN(aclnnReduceSum, run_sum, 32, x, o); }
SECOND(aclnnReduceSum)

static void softmax(Executor *e, bool logarithm) {
    Tensor *x = &e->t[0], *y = &e->t[1];
    for (int64_t i = 0; i < x->dim[0]; i++) {
        double top = -INFINITY, sum = 0;
        for (int64_t j = 0; j < x->dim[1]; j++) top = fmax(top, *at(x, i, j, 0));
        for (int64_t j = 0; j < x->dim[1]; j++) sum += exp(*at(x, i, j, 0) - top);
        for (int64_t j = 0; j < x->dim[1]; j++) { double s = *at(x, i, j, 0) - top; *at(y, i, j, 0) = (float)(logarithm ? s - log(sum) : exp(s) / sum); }
    }
}
static void run_softmax(Executor *e) { softmax(e, false); }
static void run_log_softmax(Executor *e) { softmax(e, true); }
static bool same(const Tensor *a, const Tensor *b) { return a && b && a->rank == 2 && is(b, a->dim[0], a->dim[1]); }
FIRST(aclnnSoftmax, const Tensor *x, int64_t dim, Tensor *y) { CHECK("aclnnSoftmax", same(x, y) && dim == 1); PLAN(aclnnSoftmax, run_softmax, 128, x, y); }
SECOND(aclnnSoftmax)
FIRST(aclnnLogSoftmax, const Tensor *x, int64_t dim, Tensor *y) { CHECK("aclnnLogSoftmax", same(x, y) && dim == 1); PLAN(aclnnLogSoftmax, run_log_softmax, 128, x, y); }
SECOND(aclnnLogSoftmax)
static void softmax_backward(Executor *e, bool logarithm) {
    Tensor *g = &e->t[0], *y = &e->t[1], *o = &e->t[2];
    for (int64_t i = 0; i < g->dim[0]; i++) {
        double sum = 0;
        for (int64_t j = 0; j < g->dim[1]; j++) sum += *at(g, i, j, 0) * (logarithm ? 1.0 : *at(y, i, j, 0));
        for (int64_t j = 0; j < g->dim[1]; j++) { double v = *at(y, i, j, 0), d = *at(g, i, j, 0); *at(o, i, j, 0) = (float)(logarithm ? d - exp(v) * sum : v * (d - sum)); }
    }
}
static void run_softmax_backward(Executor *e) { softmax_backward(e, false); }
static void run_log_softmax_backward(Executor *e) { softmax_backward(e, true); }
FIRST(aclnnSoftmaxBackward, const Tensor *g, const Tensor *y, int64_t dim, Tensor *o) { CHECK("aclnnSoftmaxBackward", same(g, y) && same(g, o) && dim == 1); PLAN(aclnnSoftmaxBackward, run_softmax_backward, 0, g, y, o); }
SECOND(aclnnSoftmaxBackward)
FIRST(aclnnLogSoftmaxBackward, const Tensor *g, const Tensor *y, int64_t dim, Tensor *o) { CHECK("aclnnLogSoftmaxBackward", same(g, y) && same(g, o) && dim == 1); PLAN(aclnnLogSoftmaxBackward, run_log_softmax_backward, 0, g, y, o); }
SECOND(aclnnLogSoftmaxBackward)

static double cumulative(double x) { return 0.5 * (1 + erf(x / sqrt(2))); }
static void run_gelu(Executor *e) { Tensor *x = &e->t[0]; for (int64_t i = 0; i < x->dim[0]; i++) for (int64_t j = 0; j < x->dim[1]; j++) { double v = *at(x, i, j, 0); *at(&e->t[1], i, j, 0) = (float)(v * cumulative(v)); } }
FIRST(aclnnGeluV2, const Tensor *x, int64_t approximate, Tensor *y) { CHECK("aclnnGeluV2", same(x, y) && approximate == 0); PLAN(aclnnGeluV2, run_gelu, 0, x, y); }
SECOND(aclnnGeluV2)
static void run_gelu_backward(Executor *e) { Tensor *x = &e->t[1]; for (int64_t i = 0; i < x->dim[0]; i++) for (int64_t j = 0; j < x->dim[1]; j++) { double v = *at(x, i, j, 0); *at(&e->t[2], i, j, 0) = (float)(*at(&e->t[0], i, j, 0) * (cumulative(v) + v * exp(-v * v / 2) / sqrt(2 * M_PI))); } }
FIRST(aclnnGeluBackwardV2, const Tensor *g, const Tensor *x, const char *approximate, Tensor *o) { CHECK("aclnnGeluBackwardV2", same(g, x) && same(g, o) && !strcmp(approximate, "none")); PLAN(aclnnGeluBackwardV2, run_gelu_backward, 16, g, x, o); }
SECOND(aclnnGeluBackwardV2)

static void run_layer_norm(Executor *e) {
    Tensor *x = &e->t[0]; int64_t n = x->dim[1];
    for (int64_t i = 0; i < x->dim[0]; i++) {
        double mean = 0, var = 0;
        for (int64_t j = 0; j < n; j++) mean += *at(x, i, j, 0) / (double)n;
        for (int64_t j = 0; j < n; j++) var += pow(*at(x, i, j, 0) - mean, 2) / (double)n;
        double rate = 1 / sqrt(var + e->x[0]);
        *at(&e->t[4], i, 0, 0) = (float)mean; *at(&e->t[5], i, 0, 0) = (float)rate;
        for (int64_t j = 0; j < n; j++) *at(&e->t[3], i, j, 0) = (float)((*at(x, i, j, 0) - mean) * rate * *at(&e->t[1], j, 0, 0) + *at(&e->t[2], j, 0, 0));
    }
}
FIRST(aclnnLayerNorm, const Tensor *x, const Array *shape, const Tensor *gamma, const Tensor *beta, double eps, Tensor *y, Tensor *mean, Tensor *rate) {
    CHECK("aclnnLayerNorm", same(x, y) && shape && shape->n == 1 && shape->v[0] == x->dim[1] && is(gamma, x->dim[1], -1) && is(beta, x->dim[1], -1) && is(mean, x->dim[0], 1) && is(rate, x->dim[0], 1));
    const Tensor *all[] = {x, gamma, beta, y, mean, rate}; Executor *e = plan(run_layer_norm, 6, all); e->x[0] = eps; return give(e, bytes, executor, 48);
}
SECOND(aclnnLayerNorm)
static void run_layer_norm_backward(Executor *e) {
    Tensor *g = &e->t[0], *x = &e->t[1]; int64_t n = g->dim[1];
    for (int64_t j = 0; j < n; j++) *at(&e->t[6], j, 0, 0) = *at(&e->t[7], j, 0, 0) = 0;
    for (int64_t i = 0; i < g->dim[0]; i++) {
        double mean = *at(&e->t[2], i, 0, 0), rate = *at(&e->t[3], i, 0, 0), level = 0, slope = 0;
        for (int64_t j = 0; j < n; j++) {
            double d = *at(g, i, j, 0), normal = (*at(x, i, j, 0) - mean) * rate, scaled = d * *at(&e->t[4], j, 0, 0);
            level += scaled / (double)n; slope += scaled * normal / (double)n;
            *at(&e->t[6], j, 0, 0) += (float)(d * normal); *at(&e->t[7], j, 0, 0) += (float)d;
        }
        for (int64_t j = 0; j < n; j++) { double normal = (*at(x, i, j, 0) - mean) * rate; *at(&e->t[5], i, j, 0) = (float)(rate * (*at(g, i, j, 0) * *at(&e->t[4], j, 0, 0) - level - normal * slope)); }
    }
}
FIRST(aclnnLayerNormBackward, const Tensor *g, const Tensor *x, const Array *shape, const Tensor *mean, const Tensor *rate, const Tensor *gamma, const Tensor *beta, const Array *mask, Tensor *dx, Tensor *dgamma, Tensor *dbeta) {
    CHECK("aclnnLayerNormBackward", same(g, x) && same(g, dx) && shape && shape->v[0] == g->dim[1] && is(mean, g->dim[0], 1) && is(rate, g->dim[0], 1) && is(gamma, g->dim[1], -1) && beta && mask && mask->n == 3 && is(dgamma, g->dim[1], -1) && is(dbeta, g->dim[1], -1));
    PLAN(aclnnLayerNormBackward, run_layer_norm_backward, 48, g, x, mean, rate, gamma, dx, dgamma, dbeta);
}
SECOND(aclnnLayerNormBackward)

/* Calls `f` for every product of a convolution: batch, output frame, output channel, frame, channel, tap, channel of the group. */
#define TERMS(stride, pad, groups, x, w, y, body) do { \
    int64_t ci = (w)->dim[1], co = (w)->dim[0] / (groups); \
    for (int64_t b = 0; b < (y)->dim[0]; b++) for (int64_t o = 0; o < (y)->dim[1]; o++) for (int64_t t = 0; t < (y)->dim[2]; t++) \
        for (int64_t c = 0; c < ci; c++) for (int64_t k = 0; k < (w)->dim[2]; k++) { \
            int64_t u = t * (stride) + k - (pad), ch = o / co * ci + c; if (u < 0 || u >= (x)->dim[2]) continue; body; } } while (0)
static void run_conv(Executor *e) {
    Tensor *x = &e->t[0], *w = &e->t[1], *y = &e->t[2];
    for (int64_t b = 0; b < y->dim[0]; b++) for (int64_t o = 0; o < y->dim[1]; o++) for (int64_t t = 0; t < y->dim[2]; t++) *at(y, b, o, t) = e->has[3] ? *at(&e->t[3], o, 0, 0) : 0;
    TERMS(e->i[0], e->i[1], e->i[2], x, w, y, *at(y, b, o, t) += *at(x, b, ch, u) * *at(w, o, c, k));
}
static bool conv_fits(const Tensor *x, const Tensor *w, const Tensor *y, const Array *s, const Array *p, const Array *d, int64_t groups) {
    return x && w && y && s && p && d && x->rank == 3 && w->rank == 3 && y->rank == 3 && groups > 0 && d->v[0] == 1 && x->dim[1] == w->dim[1] * groups && y->dim[1] == w->dim[0] && x->dim[0] == y->dim[0] && y->dim[2] == (x->dim[2] + 2 * p->v[0] - w->dim[2]) / s->v[0] + 1;
}
FIRST(aclnnConvolution, const Tensor *x, const Tensor *w, const Tensor *b, const Array *s, const Array *p, const Array *d, bool transposed, const Array *op, int64_t groups, Tensor *y, int8_t type) {
    CHECK("aclnnConvolution", conv_fits(x, w, y, s, p, d, groups) && (!b || is(b, y->dim[1], -1)) && !transposed && op && type == 1);
    const Tensor *all[] = {x, w, y, b}; Executor *e = plan(run_conv, 4, all); e->i[0] = s->v[0]; e->i[1] = p->v[0]; e->i[2] = groups; return give(e, bytes, executor, 64);
}
SECOND(aclnnConvolution)
static void run_conv_backward(Executor *e) {
    Tensor *g = &e->t[0], *x = &e->t[1], *w = &e->t[2];
    for (int r = 3; r < 5; r++) if (e->has[r]) { Tensor *o = &e->t[r]; for (int64_t i = 0; i < o->dim[0]; i++) for (int64_t j = 0; j < o->dim[1]; j++) for (int64_t k = 0; k < o->dim[2]; k++) *at(o, i, j, k) = 0; }
    if (e->has[3]) TERMS(e->i[0], e->i[1], e->i[2], x, w, g, *at(&e->t[3], b, ch, u) += *at(g, b, o, t) * *at(w, o, c, k));
    if (e->has[4]) TERMS(e->i[0], e->i[1], e->i[2], x, w, g, *at(&e->t[4], o, c, k) += *at(g, b, o, t) * *at(x, b, ch, u));
}
FIRST(aclnnConvolutionBackward, const Tensor *g, const Tensor *x, const Tensor *w, const Array *bias, const Array *s, const Array *p, const Array *d, bool transposed, const Array *op, int groups, const Array *mask, int8_t type, Tensor *dx, Tensor *dw, Tensor *db) {
    CHECK("aclnnConvolutionBackward", conv_fits(x, w, g, s, p, d, groups) && bias && !transposed && op && mask && mask->n == 3 && !mask->v[2] && !db && (bool)mask->v[0] == (dx != NULL) && (bool)mask->v[1] == (dw != NULL) && type == 1);
    const Tensor *all[] = {g, x, w, dx, dw}; Executor *e = plan(run_conv_backward, 5, all); e->i[0] = s->v[0]; e->i[1] = p->v[0]; e->i[2] = groups; return give(e, bytes, executor, 96);
}
SECOND(aclnnConvolutionBackward)
