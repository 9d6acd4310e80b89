/*
 * Copies. Data to the device is sent from where it is and need not be waited for: the source may be reused at once. Data from the
 * device is read straight into its place, several pieces under way at a time. Where the server shares memory with this process, large copies
 * go through that. Rectangles are copied row by row.
 */
#include <string.h>

#include "../core/together.h"
#include "array.h"
#include "graph.h"
#include "managed.h"

#define PIECES_UNDER_WAY_MAX 32

DEFINE_SEND(copy_on_device, COPY_ON_DEVICE)

static size_t piece_of(size_t left) {
    return left < SLUICE_CALL_DATA_BYTES_MAX ? left : SLUICE_CALL_DATA_BYTES_MAX;
}

/* Whether a copy of so many bytes goes through the staging file. */
static bool is_staged(size_t bytes) {
    return bytes >= SLUICE_STAGED_COPY_BYTES_MIN && driver.connection.staging.bytes != NULL;
}

static uint8_t *staging_at(int part) {
    return driver.connection.staging.bytes + staging_offset(part);
}

/* How much of [from, from + left) goes into one part of the staging file and is on its way; 0 when there is no part. */
static size_t write_staged(uint64_t destination, const void *from, size_t left, struct stream *stream) {
    int part = staging_take_patiently(&driver.connection);
    if (part < 0) return 0;
    size_t piece = piece_of(left);
    copy_together(staging_at(part), from, piece);
    struct sluice_copy_to_device_staged_call call = {
        .address = destination, .offset = staging_offset(part), .byte_count = (uint32_t)piece, .stream = stream->id};
    uint8_t *at = call_begin(&driver.connection, SLUICE_OP_COPY_TO_DEVICE_STAGED, sluice_size_copy_to_device_staged_call(&call));
    if (at == NULL) {
        staging_release(&driver.connection.staging, part);
        return 0;
    }
    sluice_encode_copy_to_device_staged_call(at, &call);
    call_end_staged(&driver.connection, &stream->last, part);
    return piece;
}

CUresult device_write(uint64_t destination, const void *source, size_t bytes, struct stream *stream) {
    const uint8_t *from = source;
    bool staged = is_staged(bytes), is_lent = false;
    for (size_t done = 0; done < bytes;) {
        size_t piece = staged ? write_staged(destination + done, from + done, bytes - done, stream) : 0;
        if (piece > 0) {
            done += piece;
            continue;
        }
        piece = piece_of(bytes - done);
        struct sluice_copy_to_device_call call = {.address = destination + done, .stream = stream->id, .data = {NULL, piece}};
        size_t fixed = sluice_size_copy_to_device_call(&call) - sluice_pad8(piece);
        uint8_t *at = call_begin(&driver.connection, SLUICE_OP_COPY_TO_DEVICE, fixed);
        if (at == NULL) break;
        sluice_encode_copy_to_device_call(at, &call);
        sluice_put_u32(at - 4, (uint32_t)(8 + fixed + sluice_pad8(piece)));
        is_lent |= call_end_with_data(&driver.connection, &stream->last, from + done, piece);
        done += piece;
    }
    if (is_lent) data_take_back(&driver.connection, source, bytes);
    return connection_result();
}

/* A piece of a copy from the device: its answer brings the bytes, or says that they are in a part of the staging file. */
struct piece {
    struct answer answer;
    int part; /* -1: the answer brings them. */
    void *into;
    size_t byte_count;
};

/* Pieces of one copy from the device that are under way, the oldest first. */
struct reading {
    struct piece pieces[PIECES_UNDER_WAY_MAX];
    unsigned issued, received;
    CUresult result;
};

static void receive_piece(struct reading *reading) {
    struct piece *piece = &reading->pieces[reading->received++ % PIECES_UNDER_WAY_MAX];
    struct failure failure = answer_wait(&driver.connection, &piece->answer);
    answer_release(&piece->answer);
    if (piece->part >= 0) {
        if (failure.code == 0) copy_together(piece->into, staging_at(piece->part), piece->byte_count);
        staging_release(&driver.connection.staging, piece->part);
    }
    if (failure.code != 0 && reading->result == CUDA_SUCCESS) reading->result = result_of(failure);
}

/* A part for the next piece, once those under way have given theirs back if need be; -1 when the piece must do without. */
static int part_for(struct reading *reading) {
    int part = staging_take(&driver.connection);
    while (part < 0 && reading->issued != reading->received) {
        receive_piece(reading);
        part = staging_take(&driver.connection);
    }
    return part >= 0 ? part : staging_take_patiently(&driver.connection);
}

static uint8_t *begin_request(const struct piece *piece, uint64_t source, struct stream *stream) {
    struct connection *connection = &driver.connection;
    uint32_t byte_count = (uint32_t)piece->byte_count;
    uint8_t *at;
    if (piece->part >= 0) {
        struct sluice_copy_from_device_staged_call call = {
            .address = source, .offset = staging_offset(piece->part), .byte_count = byte_count, .stream = stream->id};
        at = call_begin(connection, SLUICE_OP_COPY_FROM_DEVICE_STAGED, sluice_size_copy_from_device_staged_call(&call));
        if (at != NULL) sluice_encode_copy_from_device_staged_call(at, &call);
    } else {
        struct sluice_copy_from_device_call call = {.address = source, .byte_count = byte_count, .stream = stream->id};
        at = call_begin(connection, SLUICE_OP_COPY_FROM_DEVICE, sluice_size_copy_from_device_call(&call));
        if (at != NULL) sluice_encode_copy_from_device_call(at, &call);
    }
    return at;
}

static void request_piece(struct reading *reading, uint64_t source, struct piece wanted, struct stream *stream) {
    if (reading->issued - reading->received == PIECES_UNDER_WAY_MAX) receive_piece(reading);
    struct piece *piece = &reading->pieces[reading->issued % PIECES_UNDER_WAY_MAX];
    memset(&piece->answer, 0, offsetof(struct answer, fixed));
    piece->part = wanted.part;
    piece->into = wanted.into;
    piece->byte_count = wanted.byte_count;
    if (piece->part < 0) {
        piece->answer.into = wanted.into;
        piece->answer.into_bytes = wanted.byte_count;
    }
    bool is_begun = reading->result == CUDA_SUCCESS && begin_request(piece, source, stream) != NULL;
    if (is_begun) {
        call_end_expecting(&driver.connection, &piece->answer, &stream->last);
        reading->issued++;
        return;
    }
    if (piece->part >= 0) staging_release(&driver.connection.staging, piece->part);
    if (reading->result == CUDA_SUCCESS) reading->result = connection_result();
}

static void request_range(struct reading *reading, uint64_t source, void *destination, size_t bytes, struct stream *stream) {
    bool staged = is_staged(bytes);
    for (size_t done = 0; done < bytes && reading->result == CUDA_SUCCESS;) {
        int part = staged ? part_for(reading) : -1;
        size_t byte_count = piece_of(bytes - done);
        request_piece(reading, source + done, (struct piece){.part = part, .into = (uint8_t *)destination + done, .byte_count = byte_count}, stream);
        done += byte_count;
    }
}

static CUresult finish_reading(struct reading *reading) {
    while (reading->received != reading->issued) receive_piece(reading);
    return reading->result != CUDA_SUCCESS ? reading->result : connection_result();
}

CUresult device_read(void *destination, uint64_t source, size_t bytes, struct stream *stream) {
    struct reading reading;
    reading.issued = reading.received = 0;
    reading.result = CUDA_SUCCESS;
    request_range(&reading, source, destination, bytes, stream);
    return finish_reading(&reading);
}

static bool is_arena_address(uint64_t address) {
    for (uint32_t index = 0; index < driver.device_count; index++)
        if (arena_holds(&driver.devices[index]->arena, address)) return true;
    return false;
}

/*
 * An address of the arena is the device's, whatever the call says of it: managed memory may stand for either. What of it the host has
 * written goes to the device first, and what it holds of the destination is out of date.
 */
static CUresult settle(struct line *line) {
    line->to_device = line->to_device || is_arena_address(line->destination);
    line->from_device = line->from_device || is_arena_address(line->source);
    if (!atomic_load_explicit(&managed_in_use, memory_order_relaxed)) return CUDA_SUCCESS;
    struct device *to = managed_device(line->destination), *from = managed_device(line->source);
    line->to_device = line->to_device || to != NULL;
    line->from_device = line->from_device || from != NULL;
    CUresult result = to != NULL ? managed_release(to) : CUDA_SUCCESS;
    return result == CUDA_SUCCESS && from != NULL && from != to ? managed_release(from) : result;
}

static CUresult check_line(struct line line, size_t bytes) {
    struct device *device;
    if (line.to_device && range_check(line.destination, bytes, &device) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    if (line.from_device && range_check(line.source, bytes, &device) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
    if (!line.to_device && line.destination == 0) return CUDA_ERROR_INVALID_VALUE;
    if (!line.from_device && line.source == 0) return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* The stream that the call names on the wire: one of another device is none of theirs, and then this thread keeps the order. */
static CUresult stream_for(struct line line, struct stream **stream) {
    struct device *device = (*stream)->device;
    struct range range;
    uint64_t address = line.to_device ? line.destination : line.source;
    if ((*stream)->id == 0 || arena_find(&device->arena, address, &range)) return CUDA_SUCCESS;
    if (line.to_device && line.from_device && arena_find(&device->arena, line.source, &range)) return CUDA_SUCCESS;
    struct global global;
    struct device *owner = device;
    if (globals_find(address, &global, &owner) && owner == device) return CUDA_SUCCESS;
    CUresult result = stream_wait(*stream);
    for (uint32_t index = 0; index < driver.device_count; index++)
        if (arena_holds(&driver.devices[index]->arena, address)) owner = driver.devices[index];
    *stream = &owner->stream;
    return result;
}

static CUresult copy_on_device(struct line line, size_t bytes, struct stream *stream) {
    uint64_t distance = line.destination > line.source ? line.destination - line.source : line.source - line.destination;
    if (distance == 0) return CUDA_SUCCESS;
    if (distance < bytes) return CUDA_ERROR_INVALID_VALUE;
    struct sluice_copy_on_device_call call = {
        .destination = line.destination, .source = line.source, .byte_count = bytes, .stream = stream->id};
    return send_copy_on_device(&call, &stream->last);
}

static void copy_line(struct line line, size_t bytes, struct stream *stream, struct reading *reading) {
    void *host = (void *)(uintptr_t)line.destination;
    const void *host_source = (const void *)(uintptr_t)line.source;
    if (line.to_device && line.from_device) reading->result = copy_on_device(line, bytes, stream);
    else if (line.to_device) reading->result = device_write(line.destination, host_source, bytes, stream);
    else if (line.from_device) request_range(reading, line.source, host, bytes, stream);
    else memmove(host, host_source, bytes);
}

/* The same as a box of one row, for a graph. */
static CUDA_MEMCPY3D box_of(struct line line, size_t bytes) {
    CUDA_MEMCPY3D box = {.width_bytes = bytes, .height = 1, .depth = 1, .src_pitch = bytes, .dst_pitch = bytes, .src_height = 1, .dst_height = 1};
    box.src_type = line.from_device ? CU_MEMORY_DEVICE : CU_MEMORY_HOST;
    box.dst_type = line.to_device ? CU_MEMORY_DEVICE : CU_MEMORY_HOST;
    if (line.from_device) box.src_device = line.source;
    else box.src_host = (const void *)(uintptr_t)line.source;
    if (line.to_device) box.dst_device = line.destination;
    else box.dst_host = (void *)(uintptr_t)line.destination;
    return box;
}

static CUresult copy(struct line line, size_t bytes, struct stream *stream) {
    if (bytes == 0) return CUDA_SUCCESS;
    CUresult result = stream->capture == NULL ? settle(&line) : CUDA_SUCCESS;
    if (result == CUDA_SUCCESS) result = check_line(line, bytes);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture != NULL) {
        CUDA_MEMCPY3D box = box_of(line, bytes);
        return capture_copy(stream, &box);
    }
    if (line.to_device && !line.from_device && stream->id == 0) return device_write(line.destination, (void *)(uintptr_t)line.source, bytes, stream);
    if (!line.to_device && !line.from_device) result = stream_wait(stream);
    else result = stream_for(line, &stream);
    if (result != CUDA_SUCCESS) return result;
    struct reading reading;
    reading.issued = reading.received = 0;
    reading.result = CUDA_SUCCESS;
    copy_line(line, bytes, stream, &reading);
    return finish_reading(&reading);
}

static CUresult copy_in(struct line line, size_t bytes, CUstream handle) {
    struct stream *stream;
    CUresult result = work_stream_of(handle, &stream);
    if (result == CUDA_SUCCESS) result = copy(line, bytes, stream);
    if (result == CUDA_SUCCESS && handle == CU_STREAM_LEGACY && !line.from_device) handed_over(stream->device, line.destination);
    return result;
}

static struct line to_device(CUdeviceptr destination, const void *source) {
    return (struct line){destination, (uintptr_t)source, true, false};
}
static struct line from_device(void *destination, CUdeviceptr source) {
    return (struct line){(uintptr_t)destination, source, false, true};
}
static struct line on_device(CUdeviceptr destination, CUdeviceptr source) {
    return (struct line){destination, source, true, true};
}
static struct line by_address(uint64_t destination, uint64_t source) {
    return (struct line){destination, source, is_device_address(destination), is_device_address(source)};
}

#define COPY_FUNCTION(name, stream_expression, line_expression, parameters, arguments)                                                  \
    API(name, parameters, arguments) {                                                                                                  \
        return copy_in(line_expression, bytes, stream_expression);                                                                      \
    }

COPY_FUNCTION(cuMemcpyHtoD_v2, CU_STREAM_LEGACY, to_device(destination, source), (CUdeviceptr destination, const void *source, size_t bytes),
              (destination, source, bytes))
COPY_FUNCTION(cuMemcpyHtoDAsync_v2, stream, to_device(destination, source),
              (CUdeviceptr destination, const void *source, size_t bytes, CUstream stream), (destination, source, bytes, stream))
COPY_FUNCTION(cuMemcpyDtoH_v2, NULL, from_device(destination, source), (void *destination, CUdeviceptr source, size_t bytes),
              (destination, source, bytes))
COPY_FUNCTION(cuMemcpyDtoHAsync_v2, stream, from_device(destination, source),
              (void *destination, CUdeviceptr source, size_t bytes, CUstream stream), (destination, source, bytes, stream))
COPY_FUNCTION(cuMemcpyDtoD_v2, NULL, on_device(destination, source), (CUdeviceptr destination, CUdeviceptr source, size_t bytes),
              (destination, source, bytes))
COPY_FUNCTION(cuMemcpyDtoDAsync_v2, stream, on_device(destination, source),
              (CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream), (destination, source, bytes, stream))
COPY_FUNCTION(cuMemcpy, CU_STREAM_LEGACY, by_address(destination, source), (CUdeviceptr destination, CUdeviceptr source, size_t bytes),
              (destination, source, bytes))
COPY_FUNCTION(cuMemcpyAsync, stream, by_address(destination, source),
              (CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream), (destination, source, bytes, stream))

/* An address tells its device, so the contexts are not needed. */
API(cuMemcpyPeer, (CUdeviceptr destination, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes),
    (destination, to, source, from, bytes)) {
    (void)to, (void)from;
    return copy_in(on_device(destination, source), bytes, NULL);
}

API(cuMemcpyPeerAsync, (CUdeviceptr destination, CUcontext to, CUdeviceptr source, CUcontext from, size_t bytes, CUstream stream),
    (destination, to, source, from, bytes, stream)) {
    (void)to, (void)from;
    return copy_in(on_device(destination, source), bytes, stream);
}

API_ALIAS(cuMemcpyHtoD_v2_ptds, cuMemcpyHtoD_v2);
API_ALIAS(cuMemcpyHtoDAsync_v2_ptsz, cuMemcpyHtoDAsync_v2);
API_ALIAS(cuMemcpyDtoH_v2_ptds, cuMemcpyDtoH_v2);
API_ALIAS(cuMemcpyDtoHAsync_v2_ptsz, cuMemcpyDtoHAsync_v2);
API_ALIAS(cuMemcpyDtoD_v2_ptds, cuMemcpyDtoD_v2);
API_ALIAS(cuMemcpyDtoDAsync_v2_ptsz, cuMemcpyDtoDAsync_v2);
API_ALIAS(cuMemcpy_ptds, cuMemcpy);
API_ALIAS(cuMemcpyAsync_ptsz, cuMemcpyAsync);
API_ALIAS(cuMemcpyPeer_ptds, cuMemcpyPeer);
API_ALIAS(cuMemcpyPeerAsync_ptsz, cuMemcpyPeerAsync);

/* One end of a box: where its first byte is, and how far its rows and planes are apart. */
struct end {
    uint64_t address;
    size_t pitch, plane;
    bool is_device;
};

/* What a box says of one end. */
struct box_end {
    int type;
    uint64_t host, device;
    CUarray array;
    size_t x_bytes, y, z, pitch, height;
};

/* Texels are moved whole. */
static CUresult array_end(const struct box_end *wish, const CUDA_MEMCPY3D *box, struct end *end) {
    struct CUarray_st *array;
    CUresult result = array_of(wish->array, &array);
    if (result != CUDA_SUCCESS) return result;
    size_t row = array->shape.width * array->texel_bytes;
    size_t rows = array->shape.height == 0 ? 1 : array->shape.height, planes = array->shape.depth == 0 ? 1 : array->shape.depth;
    if (wish->x_bytes % array->texel_bytes != 0 || box->width_bytes % array->texel_bytes != 0) return CUDA_ERROR_INVALID_VALUE;
    if (wish->x_bytes > row || box->width_bytes > row - wish->x_bytes) return CUDA_ERROR_INVALID_VALUE;
    if (wish->y > rows || box->height > rows - wish->y) return CUDA_ERROR_INVALID_VALUE;
    if (wish->z > planes || box->depth > planes - wish->z) return CUDA_ERROR_INVALID_VALUE;
    *end = (struct end){array->address, array->pitch, array->plane, true};
    return CUDA_SUCCESS;
}

static CUresult memory_end(const struct box_end *wish, const CUDA_MEMCPY3D *box, struct end *end) {
    end->address = wish->type == CU_MEMORY_HOST ? wish->host : wish->device;
    end->is_device = wish->type == CU_MEMORY_DEVICE || (wish->type == CU_MEMORY_UNIFIED && is_device_address(wish->device));
    end->pitch = wish->pitch == 0 ? box->width_bytes : wish->pitch;
    end->plane = end->pitch * (wish->height == 0 ? box->height : wish->height);
    return end->pitch < box->width_bytes ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult end_of(struct box_end wish, const CUDA_MEMCPY3D *box, struct end *end) {
    if (wish.type < CU_MEMORY_HOST || wish.type > CU_MEMORY_UNIFIED) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = wish.type == CU_MEMORY_ARRAY ? array_end(&wish, box, end) : memory_end(&wish, box, end);
    if (result == CUDA_SUCCESS) end->address += wish.x_bytes + wish.y * end->pitch + wish.z * end->plane;
    return result;
}

/* A box as its first row, the number of rows and planes, and how far they are apart. */
struct rows {
    struct line first;
    size_t width, count;
    struct end to, from;
};

static CUresult rows_of(const CUDA_MEMCPY3D *box, struct rows *rows) {
    struct end to, from;
    struct box_end wish = {box->dst_type, (uintptr_t)box->dst_host, box->dst_device, box->dst_array, box->dst_x_bytes,
                           box->dst_y, box->dst_z, box->dst_pitch, box->dst_height};
    CUresult result = end_of(wish, box, &to);
    if (result != CUDA_SUCCESS) return result;
    wish = (struct box_end){box->src_type, (uintptr_t)box->src_host, box->src_device, box->src_array, box->src_x_bytes,
                            box->src_y, box->src_z, box->src_pitch, box->src_height};
    result = end_of(wish, box, &from);
    if (result != CUDA_SUCCESS) return result;
    *rows = (struct rows){{to.address, from.address, to.is_device, from.is_device}, box->width_bytes, box->height, to, from};
    if (to.pitch == rows->width && from.pitch == rows->width) {
        rows->width *= rows->count;
        rows->count = 1;
    }
    return CUDA_SUCCESS;
}

bool copy_is_line(const CUDA_MEMCPY3D *box, struct line *line, size_t *byte_count) {
    struct rows rows;
    if (box->width_bytes == 0 || rows_of(box, &rows) != CUDA_SUCCESS || rows.count != 1 || box->depth != 1) return false;
    *line = rows.first;
    *byte_count = rows.width;
    return true;
}

/* Checks every row before the first is copied, or captured. */
static CUresult check_rows(const struct rows *rows, size_t depth) {
    for (size_t z = 0; z < depth; z++) {
        for (size_t y = 0; y < rows->count; y++) {
            struct line line = rows->first;
            line.destination += z * rows->to.plane + y * rows->to.pitch;
            line.source += z * rows->from.plane + y * rows->from.pitch;
            CUresult result = check_line(line, rows->width);
            if (result != CUDA_SUCCESS) return result;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult copy_box(const CUDA_MEMCPY3D *box, struct stream *stream) {
    struct rows rows;
    if (box->width_bytes == 0 || box->height == 0 || box->depth == 0) return CUDA_SUCCESS;
    CUresult result = rows_of(box, &rows);
    if (result == CUDA_SUCCESS && stream->capture == NULL) result = settle(&rows.first);
    if (result == CUDA_SUCCESS) result = check_rows(&rows, box->depth);
    if (result != CUDA_SUCCESS) return result;
    if (stream->capture != NULL) return capture_copy(stream, box);
    result = rows.first.to_device || rows.first.from_device ? stream_for(rows.first, &stream) : stream_wait(stream);
    struct reading reading;
    reading.issued = reading.received = 0;
    reading.result = result;
    for (size_t z = 0; z < box->depth && reading.result == CUDA_SUCCESS; z++) {
        for (size_t y = 0; y < rows.count && reading.result == CUDA_SUCCESS; y++) {
            struct line line = rows.first;
            line.destination += z * rows.to.plane + y * rows.to.pitch;
            line.source += z * rows.from.plane + y * rows.from.pitch;
            copy_line(line, rows.width, stream, &reading);
        }
    }
    return finish_reading(&reading);
}

CUresult replay_copy(const CUDA_MEMCPY3D *box, struct stream *stream) {
    return copy_box(box, stream);
}

static CUresult copy_box_in(const CUDA_MEMCPY3D *box, CUstream handle) {
    struct stream *stream;
    if (box == NULL) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = work_stream_of(handle, &stream);
    if (result == CUDA_SUCCESS) result = copy_box(box, stream);
    bool is_from_host = box->src_type == CU_MEMORY_HOST || box->src_type == CU_MEMORY_UNIFIED;
    if (result == CUDA_SUCCESS && handle == CU_STREAM_LEGACY && is_from_host) handed_over(stream->device, box->dst_device);
    return result;
}

static CUresult copy_rectangle_in(const CUDA_MEMCPY2D *copy, CUstream handle) {
    if (copy == NULL) return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D box = {
        .src_x_bytes = copy->src_x_bytes, .src_y = copy->src_y, .src_type = copy->src_type, .src_host = copy->src_host,
        .src_device = copy->src_device, .src_array = copy->src_array, .src_pitch = copy->src_pitch, .dst_x_bytes = copy->dst_x_bytes, .dst_y = copy->dst_y,
        .dst_type = copy->dst_type, .dst_host = copy->dst_host, .dst_device = copy->dst_device, .dst_array = copy->dst_array, .dst_pitch = copy->dst_pitch,
        .width_bytes = copy->width_bytes, .height = copy->height, .depth = 1,
    };
    return copy_box_in(&box, handle);
}

API(cuMemcpy2D_v2, (const CUDA_MEMCPY2D *copy), (copy)) {
    return copy_rectangle_in(copy, CU_STREAM_LEGACY);
}
API(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D *copy, CUstream stream), (copy, stream)) {
    return copy_rectangle_in(copy, stream);
}
API(cuMemcpy3D_v2, (const CUDA_MEMCPY3D *copy), (copy)) {
    return copy_box_in(copy, CU_STREAM_LEGACY);
}
API(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *copy, CUstream stream), (copy, stream)) {
    return copy_box_in(copy, stream);
}
API_ALIAS(cuMemcpy2D_v2_ptds, cuMemcpy2D_v2);
API_ALIAS(cuMemcpy2DUnaligned_v2, cuMemcpy2D_v2);
API_ALIAS(cuMemcpy2DUnaligned_v2_ptds, cuMemcpy2D_v2);
API_ALIAS(cuMemcpy2DAsync_v2_ptsz, cuMemcpy2DAsync_v2);
API_ALIAS(cuMemcpy3D_v2_ptds, cuMemcpy3D_v2);
API_ALIAS(cuMemcpy3DAsync_v2_ptsz, cuMemcpy3DAsync_v2);
