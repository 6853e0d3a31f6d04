// A fused layer by oneDNN: y = mish(x·w + b), rows x inputs times inputs x outputs, weights in the order that it prefers.
#include <dnnl.h>
#include <omp.h>

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_t layer;
static dnnl_memory_t x, w, b, y;

static dnnl_status_t reordered(float *weights, const dnnl_memory_desc_t *plain, const dnnl_memory_desc_t *wanted)
{
    dnnl_memory_t from;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t reorder;
    dnnl_status_t status = dnnl_memory_create(&from, plain, engine, weights);
    if (status == dnnl_success)
        status = dnnl_memory_create(&w, wanted, engine, DNNL_MEMORY_ALLOCATE);
    if (status == dnnl_success)
        status = dnnl_reorder_primitive_desc_create(&description, plain, engine, wanted, engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, description);
    if (status != dnnl_success)
        return status;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, w}};
    status = dnnl_primitive_execute(reorder, stream, 2, arguments);
    return status == dnnl_success ? dnnl_stream_wait(stream) : status;
}

// Row-major arrays, which must outlive the layer. Returns oneDNN's status, 0 for success.
int onednn_open(int rows, int inputs, int outputs, float *input, float *weights, float *bias, float *output)
{
    const dnnl_dims_t in = {rows, inputs}, across = {inputs, outputs}, one = {1, outputs}, out = {rows, outputs};
    dnnl_memory_desc_t xd, wd, any, bd, yd;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t after;
    dnnl_primitive_desc_t description;
    int status = dnnl_engine_create(&engine, dnnl_cpu, 0) | dnnl_stream_create(&stream, engine, dnnl_stream_default_flags)
        | dnnl_memory_desc_init_by_tag(&xd, 2, in, dnnl_f32, dnnl_ab)
        | dnnl_memory_desc_init_by_tag(&wd, 2, across, dnnl_f32, dnnl_ab)
        | dnnl_memory_desc_init_by_tag(&any, 2, across, dnnl_f32, dnnl_format_tag_any)
        | dnnl_memory_desc_init_by_tag(&bd, 2, one, dnnl_f32, dnnl_ab)
        | dnnl_memory_desc_init_by_tag(&yd, 2, out, dnnl_f32, dnnl_ab)
        | dnnl_matmul_desc_init(&product, &xd, &any, &bd, &yd) | dnnl_primitive_attr_create(&attributes)
        | dnnl_post_ops_create(&after) | dnnl_post_ops_append_eltwise(after, 1, dnnl_eltwise_mish, 0, 0)
        | dnnl_primitive_attr_set_post_ops(attributes, after);
    if (status == 0)
        status = dnnl_primitive_desc_create(&description, &product, attributes, engine, NULL);
    if (status == 0)
        status = dnnl_primitive_create(&layer, description)
            | reordered(weights, &wd, dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0))
            | dnnl_memory_create(&x, &xd, engine, input) | dnnl_memory_create(&b, &bd, engine, bias)
            | dnnl_memory_create(&y, &yd, engine, output);
    return status;
}

int onednn_run(int threads)
{
    omp_set_num_threads(threads);
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST, y}};
    return dnnl_primitive_execute(layer, stream, 4, arguments) | dnnl_stream_wait(stream);
}
