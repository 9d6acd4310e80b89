/** Every bound of the project that both ends must know, with its reason. Units and bounds come last in the names. */

const KiB = 1024;
const MiB = 1024 * KiB;

/** A frame of one full batch, or one call with the most data a call may carry, fits with room for headers. */
export const FRAME_BYTES_MAX = 2 * MiB;

/** Data of one call. Larger copies travel as several calls, so that none holds up another stream for long. */
export const CALL_DATA_BYTES_MAX = 1 * MiB;

/** The staging file of a session on the server's own host: pieces for one end to fill while the other empties those before. */
export const STAGING_BYTES = 8 * CALL_DATA_BYTES_MAX;

/** The smallest copy that goes through the staging file: below it, the connection is as fast. */
export const STAGED_COPY_BYTES_MIN = 128 * KiB;

/** Pieces that one call may ask the cache for: 16 MiB, since reading them holds up the session's other streams. */
export const CACHED_PIECES_MAX = 16;

/** The smallest upload of which a client asks the cache unless it is told another: below it, the question costs more than the bytes. */
export const CACHED_UPLOAD_BYTES_MIN = 1 * MiB;

/** The client sends a batch when it reaches this size: beyond it, fewer writes no longer pay. */
export const BATCH_BYTES = 64 * KiB;

/** Handshake frames hold a few short strings; more than this is not a handshake. */
export const HANDSHAKE_FRAME_BYTES_MAX = 4 * KiB;

/** A connection that has not proved its lease by then is closed. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Connections that have not proved their lease yet, over all clients. */
export const HANDSHAKES_MAX = 256;

/** Of them from one address, so that one machine cannot keep the others out. */
export const HANDSHAKES_PER_ADDRESS_MAX = 128;

/** The largest program image. Fat binaries of large libraries stay below it. */
export const IMAGE_BYTES_MAX = 256 * MiB;

/** A larger image is asked for by its hash before it is sent. One that fits into a batch rides with its load: no trip is spent on it. */
export const IMAGE_SENT_BYTES_MAX = BATCH_BYTES;

/** Images sent but not yet loaded, per session. */
export const IMAGES_MAX = 16;

/** Live handles of one kind (modules, streams, events) per session: far above real programs, far below the memory's end. */
export const HANDLES_MAX = 65_536;

/** Calls of one recording, and their bytes: one call carries it, and running it holds up other streams for some milliseconds. */
export const RECORDING_CALLS_MAX = 16_384;
export const RECORDING_BYTES_MAX = CALL_DATA_BYTES_MAX;

/** Places in a recording that a replay writes; with the calls they fit into one frame. */
export const RECORDING_PATCHES_MAX = 32_768;

/** Values of one replay: far more than anybody names. */
export const RECORDING_VALUE_BYTES_MAX = 64 * KiB;

/** Calls of all recordings of a session: decoded they take some hundred bytes each. */
export const RECORDED_CALLS_MAX = 262_144;

/** Live allocations on one device of a lease. */
export const ALLOCATIONS_MAX = 1_048_576;

/** Alignment of every allocation in an arena, as of cudaMalloc. */
export const ALLOCATION_GRANULARITY_BYTES = 256;

/** CUDA C for the server to compile: sources are written by hand, and a larger one is something else. */
export const SOURCE_BYTES_MAX = 1 * MiB;

/** Options that come with a source. */
export const COMPILE_OPTIONS_MAX = 32;

/** Attributes of one descriptor of cuDNN: it has kinds with about 25. */
export const DNN_ATTRIBUTES_MAX = 64;

/** Images behind the live modules of a session: their compiled form lives in the executor's own memory. */
export const MODULE_BYTES_MAX = 512 * MiB;

/** Bytes of frames that either end takes at most before it acknowledges them, so that the other may forget them. */
export const ACKNOWLEDGE_BYTES_MAX = 256 * KiB;

/** The same of a server that finds more of a large copy at once: an acknowledgement is for all that is there. */
export const ACKNOWLEDGE_LATE_BYTES_MAX = 4 * MiB;

/** The packed parameter block of a launch, as in CUDA 12.1 and later. */
export const PARAM_BYTES_MAX = 32_764;

/** Bytes that a client holds, not sent or not acknowledged, before a call is refused with BACKLOG_FULL. */
export const CLIENT_BACKLOG_BYTES_MAX = 64 * MiB;

/** Answered calls that a client may have under way at once. */
export const ANSWERS_PENDING_MAX = 65_536;

/** Bytes of answers that an executor holds, not sent or not acknowledged, before it runs no more calls. */
export const ANSWER_BACKLOG_BYTES_MAX = 8 * MiB;

/** How long a session waits for its client when its connection breaks, unless the server is told otherwise. */
export const SESSION_GRACE_MS = 30_000;

/** While a call takes long, the server shows this often that the connection is alive. */
export const LIVENESS_INTERVAL_MS = 5_000;

/** A client that waits, and hears nothing for so long, looks whether another connection fares better. */
export const SILENCE_MS_MAX = 3 * LIVENESS_INTERVAL_MS;

/** printf output kept between two answers; what is beyond it is dropped, and the text says so. */
export const OUTPUT_BYTES_MAX = 1 * MiB;

/** Base address of the first slice's arena, and the distance to the next. The low 32 bits are zero. */
export const ARENA_BASE = 0x6000_0000_0000;
export const ARENA_STRIDE_BYTES = 0x100_0000_0000;

/** Slices per lease: as many GPUs as the largest machines have. */
export const SLICES_PER_LEASE_MAX = 16;

/** Leases of one request, which are granted together: as many processes of one job on a server. */
export const LEASES_PER_REQUEST_MAX = 64;

/** The client beats this often; a lease without a beat for the time-out ends. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
export const HEARTBEAT_TIMEOUT_MS = 30_000;

/** Names (jobs, tenants, leases) in characters. */
export const NAME_LENGTH_MAX = 128;

/** Requests waiting on one server. */
export const QUEUE_ENTRIES_MAX = 100_000;

/** Filters, tolerations and avoided labels of one request, each: enough for every device of a server by name. */
export const CONDITIONS_MAX = 32;

/** Characters of a filter or label. */
export const CONDITION_LENGTH_MAX = 256;

/** Servers that a client knows as one pool: it asks all of them at once. */
export const SERVERS_MAX = 64;

/** Streams that watch the pool, over gRPC and the dashboard together. */
export const WATCHERS_MAX = 256;

/** Requests of the queue that watchers are shown, and that listings give reasons for: nobody reads on, and their number says the rest. */
export const QUEUE_SHOWN_MAX = 200;
