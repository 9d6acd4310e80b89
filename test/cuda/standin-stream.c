/* The stand-in's streams and events: a thread per stream takes its work in order. The default stream waits for the others, and they for it. */
#define _GNU_SOURCE
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct stream {
  struct context *context;
  int blocking; /* waits for the default stream, and that for it */
  uint64_t queued, done;
  struct work *first, *last;
  int ending; /* destroyed, or its context gone */
  int destroyed;
  pthread_t thread;
  struct stream *next;
};

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Oldest first, as they mostly go. */
static struct event *events, **events_end = &events;

/* Whether it is an event that is alive: what a program makes up is no handle. */
static int known(const struct event *event) {
  const struct event *e = events;
  while (e != NULL && e != event) e = e->next;
  return e != NULL;
}

void standin_forget_events(void) {
  events = NULL;
  events_end = &events;
}

static void let_go(struct event *e) {
  if (--e->references == 0) free(e);
}

static void fill(struct work *w) {
  uint64_t bytes = w->count * w->width;
  /* Zeros in whole pages are pages given back: those that nobody uses cost nothing. */
  if (w->value == 0 && w->destination % PAGE == 0 && bytes % PAGE == 0 && madvise((void *)w->destination, bytes, MADV_REMOVE) == 0) return;
  if (w->value == 0 || w->width == 1) memset((void *)w->destination, (int)w->value, bytes);
  else
    for (uint64_t i = 0; i < w->count; i++) memcpy((char *)w->destination + i * w->width, &w->value, w->width);
}

/* Lets the time of `standin_delay` pass; called and left with the lock held. */
static void delay(void) {
  if (standin_delay_ns == 0) return;
  struct timespec t = {(time_t)(standin_delay_ns / 1000000000ull), (long)(standin_delay_ns % 1000000000ull)};
  UNLOCK();
  nanosleep(&t, NULL);
  LOCK();
}

/* Does one piece of work; called and left with the lock held. */
static void run(struct stream *stream, struct work *w) {
  struct context *c = stream->context;
  if (w->kind == WAIT_STREAM) {
    while (w->other->done < w->generation && !stream->ending) pthread_cond_wait(&standin_changed, &standin_lock);
    return;
  }
  if (w->kind == WAIT_EVENT) {
    while (w->event->done < w->generation && !stream->ending) pthread_cond_wait(&standin_changed, &standin_lock);
    let_go(w->event);
    return;
  }
  if (w->kind == RECORD) {
    w->event->at_ns = now_ns();
    if (w->event->done < w->generation) w->event->done = w->generation;
    let_go(w->event);
    /* Whoever sees that an event is done does not know that its stream is: it may have other events behind this one. */
    pthread_cond_broadcast(&standin_changed);
    delay();
    return;
  }
  delay();
  if (c->error != SUCCESS || stream->ending) return;
  if (w->kind == KERNEL || w->kind == TASK) {
    UNLOCK();
    int result = w->kind == TASK ? w->task(c, (void *)w->source) : standin_run_kernel(c, w);
    LOCK();
    if (c->error == SUCCESS && result != SUCCESS) standin_keep_after_fault(c->device);
    if (c->error == SUCCESS) c->error = result;
    return;
  }
  if (w->kind == COPY) memmove((void *)w->destination, (void *)w->source, w->count);
  if (w->kind == FILL) fill(w);
  if (w->kind == ARRAY_COPY) standin_copy_array(w);
}

static void *serve(void *argument) {
  struct stream *stream = argument;
  LOCK();
  for (;;) {
    while (stream->first == NULL && !stream->ending) pthread_cond_wait(&standin_changed, &standin_lock);
    struct work *w = stream->first;
    if (w == NULL) break;
    run(stream, w);
    stream->first = w->next;
    if (stream->first == NULL) stream->last = NULL;
    free(w);
    stream->done++;
    pthread_cond_broadcast(&standin_changed);
  }
  UNLOCK();
  return NULL;
}

struct stream *standin_new_stream(struct context *context, int blocking) {
  struct stream *stream = calloc(1, sizeof *stream);
  stream->context = context;
  stream->blocking = blocking;
  stream->next = context->streams;
  context->streams = stream;
  pthread_create(&stream->thread, NULL, serve, stream);
  pthread_detach(stream->thread);
  return stream;
}

/* Takes the stream out of its context and has its thread end. Its memory stays: its thread may be at the very end of something. */
void standin_end_stream(struct stream *stream) {
  for (struct stream **s = &stream->context->streams; *s != NULL; s = &(*s)->next)
    if (*s == stream) {
      *s = stream->next;
      break;
    }
  stream->ending = 1;
  pthread_cond_broadcast(&standin_changed);
}

static void append(struct stream *stream, struct work *work) {
  struct work *w = malloc(sizeof *w);
  *w = *work;
  w->next = NULL;
  if (stream->last != NULL) stream->last->next = w;
  else stream->first = w;
  stream->last = w;
  stream->queued++;
}

int standin_has_stream(const struct context *context, const struct stream *stream) {
  for (struct stream *s = context->streams; s != NULL; s = s->next)
    if (s == stream && !s->destroyed) return 1;
  return 0;
}

/* With SLUICE_STANDIN_INSTANT a device takes no time, and kernels and libraries do nothing: what is left is what the host spends. */
static int do_at_once(struct work *w) {
  if (w->kind == COPY) memmove((void *)w->destination, (void *)w->source, w->count);
  if (w->kind == FILL) fill(w);
  if (w->kind == ARRAY_COPY) standin_copy_array(w);
  if (w->kind == TASK) free((void *)w->source);
  if (w->kind == RECORD) w->event->at_ns = now_ns(), w->event->done = w->generation;
  if (w->kind == RECORD || w->kind == WAIT_EVENT) let_go(w->event);
  return SUCCESS;
}

int standin_queue(struct context *context, struct stream *stream, struct work *work) {
  static int instant = -1;
  if (instant < 0) instant = getenv("SLUICE_STANDIN_INSTANT") != NULL;
  struct stream *on = stream == NULL ? context->default_stream : stream;
  if (!standin_has_stream(context, on)) return INVALID_HANDLE;
  if (instant) return do_at_once(work);
  if (on == context->default_stream) {
    for (struct stream *s = context->streams; s != NULL; s = s->next)
      if (s != on && s->blocking && s->done < s->queued)
        append(on, &(struct work){.kind = WAIT_STREAM, .other = s, .generation = s->queued});
  } else if (on->blocking && context->default_stream->done < context->default_stream->queued) {
    append(on, &(struct work){.kind = WAIT_STREAM, .other = context->default_stream, .generation = context->default_stream->queued});
  }
  append(on, work);
  pthread_cond_broadcast(&standin_changed);
  return SUCCESS;
}

int standin_busy(struct context *context) {
  for (struct stream *s = context->streams; s != NULL; s = s->next)
    if (s->done < s->queued) return 1;
  return 0;
}

void standin_flush_output(struct context *context) {
  if (context->output_bytes == 0) return;
  fwrite(context->output, 1, context->output_bytes, stdout);
  context->output_bytes = 0;
}

API int cuStreamCreateWithPriority(struct stream **stream, unsigned flags, int priority) {
  ENTER();
  (void)priority;
  if (flags > 1) LEAVE(INVALID_VALUE);
  *stream = standin_new_stream(standin_current, flags == 0);
  standin_alive.streams++;
  LEAVE(SUCCESS);
}

API int cuStreamDestroy_v2(struct stream *stream) {
  BEGIN();
  if (standin_current == NULL || !standin_has_stream(standin_current, stream)) LEAVE(INVALID_HANDLE);
  if (stream->done < stream->queued && standin_current->error == SUCCESS)
    standin_violation("a stream destroyed while it has work");
  stream->destroyed = 1;
  standin_end_stream(stream);
  standin_alive.streams--;
  LEAVE(SUCCESS);
}

static struct stream *named(struct stream *stream) { return stream == NULL ? standin_current->default_stream : stream; }

API int cuStreamQuery(struct stream *stream) {
  ENTER();
  if (!standin_has_stream(standin_current, named(stream))) LEAVE(INVALID_HANDLE);
  LEAVE(named(stream)->done < named(stream)->queued ? NOT_READY : SUCCESS);
}

API int cuStreamSynchronize(struct stream *stream) {
  ENTER();
  struct stream *on = named(stream);
  struct context *c = standin_current;
  if (!standin_has_stream(c, on)) LEAVE(INVALID_HANDLE);
  if (on->done < on->queued) standin_violation("a blocking wait");
  while (on->done < on->queued) pthread_cond_wait(&standin_changed, &standin_lock);
  standin_flush_output(c);
  LEAVE(c->error);
}

API int cuCtxSynchronize(void) {
  ENTER();
  struct context *c = standin_current;
  if (standin_busy(c)) standin_violation("a blocking wait");
  while (standin_busy(c)) pthread_cond_wait(&standin_changed, &standin_lock);
  standin_flush_output(c);
  LEAVE(c->error);
}

API int cuEventCreate(struct event **event, unsigned flags) {
  ENTER();
  if ((flags & ~3u) != 0) LEAVE(INVALID_VALUE);
  struct event *e = calloc(1, sizeof *e);
  e->references = 1;
  e->timed = (flags & 2) == 0;
  e->context = standin_current;
  *events_end = e;
  events_end = &e->next;
  *event = e;
  standin_alive.events++;
  LEAVE(SUCCESS);
}

API int cuEventDestroy_v2(struct event *event) {
  BEGIN();
  if (!known(event)) LEAVE(INVALID_HANDLE);
  for (struct event **e = &events; *e != NULL; e = &(*e)->next)
    if (*e == event) {
      *e = event->next;
      if (*e == NULL) events_end = e;
      break;
    }
  standin_alive.events--;
  let_go(event);
  LEAVE(SUCCESS);
}

API int cuEventRecord(struct event *event, struct stream *stream) {
  ENTER();
  if (!known(event) || event->context != standin_current) LEAVE(INVALID_HANDLE);
  event->references++;
  event->recorded++;
  LEAVE(standin_queue(standin_current, stream, &(struct work){.kind = RECORD, .event = event, .generation = event->recorded}));
}

API int cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags) {
  ENTER();
  if (flags != 0) LEAVE(INVALID_VALUE);
  if (!known(event) || !standin_has_stream(standin_current, stream == NULL ? standin_current->default_stream : stream)) LEAVE(INVALID_HANDLE);
  if (event->done == event->recorded) LEAVE(SUCCESS);
  event->references++;
  LEAVE(standin_queue(standin_current, stream, &(struct work){.kind = WAIT_EVENT, .event = event, .generation = event->recorded}));
}

API int cuEventQuery(struct event *event) {
  ENTER();
  if (!known(event)) LEAVE(INVALID_HANDLE);
  LEAVE(event->done < event->recorded ? NOT_READY : SUCCESS);
}

API int cuEventSynchronize(struct event *event) {
  ENTER();
  if (!known(event)) LEAVE(INVALID_HANDLE);
  struct context *c = standin_current;
  if (event->done < event->recorded) standin_violation("a blocking wait");
  while (event->done < event->recorded) pthread_cond_wait(&standin_changed, &standin_lock);
  standin_flush_output(c);
  LEAVE(c->error);
}

API int cuEventElapsedTime(float *milliseconds, struct event *start, struct event *end) {
  ENTER();
  if (!known(start) || !known(end) || start->context != end->context) LEAVE(INVALID_HANDLE);
  if (!start->timed || !end->timed || start->recorded == 0 || end->recorded == 0) LEAVE(INVALID_HANDLE);
  if (start->done < start->recorded || end->done < end->recorded) LEAVE(NOT_READY);
  *milliseconds = (float)((double)(int64_t)(end->at_ns - start->at_ns) / 1e6);
  LEAVE(SUCCESS);
}
