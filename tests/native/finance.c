/* An imitation of Tencent's finance SDK with the same ABI, for tests of the binding.
 *
 * Its "cloud" is the folder named by the corp id given to Init:
 *   login        the secret Init accepts
 *   items        one JSON item per line, "<seq> <json>"
 *   files/<id>   contents of files, handed out in pieces of `chunk` bytes (default 512 KiB)
 *   chunk        bytes of a piece
 *   script       one line per call that misbehaves: "<call> <n> <what>", n counted from 1 in this process,
 *                0 = always; <call> is Init, GetChatData, DecryptData or GetMediaData; <what> is a return code,
 *                "crash", "hang", "garbage" (text that is no JSON) or "negative" (a length below zero).
 *                A line "once <file>" before it: the misbehaviour happens only while <file> exists, and
 *                removes it.
 * DecryptData undoes a simple cipher: every byte XOR the key's bytes in turn, written as base16.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char *buf; int len; } Slice_t;
typedef struct { char *outindexbuf; int out_len; char *data; int data_len; int is_finish; } MediaData_t;
typedef struct { uint64_t magic; char folder[1024]; } WeWorkFinanceSdk_t;

#define MAGIC 0x57574653444b3231ULL

static char cloud[1024];
static int calls[4];
static const char *NAMES[4] = {"Init", "GetChatData", "DecryptData", "GetMediaData"};

enum { FINE = 0, GARBAGE = -1, NEGATIVE = -2 };

static FILE *opened(const char *name) {
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", cloud, name);
    return fopen(path, "rb");
}

/* What this call must do: FINE, a code to return, GARBAGE or NEGATIVE. Crashes and hangs happen here. */
static int fate(int call) {
    int n = ++calls[call];
    FILE *script = opened("script");
    char name[64], what[64], once[1024] = "", line[2048];
    int found = FINE, when;
    if (!script) return FINE;
    while (fgets(line, sizeof line, script)) {
        if (sscanf(line, "once %1000s", once) == 1) continue;
        if (sscanf(line, "%60s %d %60s", name, &when, what) != 3) continue;
        if (strcmp(name, NAMES[call]) || (when && when != n)) { once[0] = 0; continue; }
        if (once[0] && unlink(once)) { once[0] = 0; continue; }
        if (!strcmp(what, "crash")) { volatile int *nowhere = 0; *nowhere = 1; }
        if (!strcmp(what, "hang")) for (;;) sleep(1);
        found = !strcmp(what, "garbage") ? GARBAGE : !strcmp(what, "negative") ? NEGATIVE : atoi(what);
        break;
    }
    fclose(script);
    return found;
}

static void set(Slice_t *s, const char *data, size_t len) {
    free(s->buf);
    s->buf = malloc(len + 1);
    memcpy(s->buf, data, len);
    s->buf[len] = 0;
    s->len = (int)len;
}

/* The address must survive as 64 bits, or the magic is not found behind it. */
WeWorkFinanceSdk_t *NewSdk(void) {
    WeWorkFinanceSdk_t *sdk = calloc(1, sizeof *sdk);
    sdk->magic = MAGIC;
    printf("a library that talks on stdout\n");
    fflush(stdout);
    return sdk;
}

int Init(WeWorkFinanceSdk_t *sdk, const char *corpid, const char *secret) {
    char wanted[256] = "";
    int code;
    FILE *f;
    if (!sdk || sdk->magic != MAGIC) return 10000;
    snprintf(cloud, sizeof cloud, "%s/%s", getenv("HOME"), corpid);
    snprintf(sdk->folder, sizeof sdk->folder, "%s", cloud);
    if ((code = fate(0)) > 0) return code;
    if (!(f = opened("login"))) return 10000;
    if (!fgets(wanted, sizeof wanted, f)) wanted[0] = 0;
    fclose(f);
    return strcmp(wanted, secret) ? 10000 : 0;
}

void DestroySdk(WeWorkFinanceSdk_t *sdk) { sdk->magic = 0; free(sdk); }

Slice_t *NewSlice(void) { return calloc(1, sizeof(Slice_t)); }
void FreeSlice(Slice_t *s) { free(s->buf); free(s); }
char *GetContentFromSlice(Slice_t *s) { return s->buf; }
int GetSliceLen(Slice_t *s) { return s->len; }

static int odd(int what, Slice_t *out) {
    set(out, "{\"chatdata\": [", 14);
    if (what == NEGATIVE) out->len = -5;
    return 0;
}

int GetChatData(WeWorkFinanceSdk_t *sdk, unsigned long long seq, unsigned int limit, const char *proxy,
                const char *passwd, int timeout, Slice_t *out) {
    size_t size = 1 << 20, used;
    char *page = malloc(size), *line = malloc(1 << 20);
    unsigned int found = 0;
    int what, at;
    unsigned long long number;
    FILE *items;
    if (!sdk || sdk->magic != MAGIC || limit > 1000 || timeout <= 0 || !proxy || !passwd) return 10000;
    if ((what = fate(1)) > 0) return what;
    if (what < 0) return odd(what, out);
    used = sprintf(page, "{\"errcode\":0,\"errmsg\":\"ok\",\"chatdata\":[");
    if ((items = opened("items"))) {
        while (found < limit && fgets(line, 1 << 20, items)) {
            if (sscanf(line, "%llu %n", &number, &at) < 1 || number <= seq) continue;
            size_t len = strcspn(line + at, "\n");
            while (used + len + 16 > size) page = realloc(page, size *= 2);
            if (found++) page[used++] = ',';
            memcpy(page + used, line + at, len);
            used += len;
        }
        fclose(items);
    }
    used += sprintf(page + used, "]}");
    set(out, page, used);
    free(page);
    free(line);
    return 0;
}

int DecryptData(const char *key, const char *message, Slice_t *out) {
    size_t n = strlen(message) / 2, keys = strlen(key), i;
    char *plain;
    unsigned int byte;
    int what = fate(2);
    if (what > 0) return what;
    if (what < 0) return odd(what, out);
    if (!keys || strlen(message) % 2) return 10008;
    if (!strncmp(message, "deadbeef", 8)) { volatile int *nowhere = 0; *nowhere = 1; }
    plain = malloc(n + 1);
    for (i = 0; i < n; i++) {
        if (sscanf(message + 2 * i, "%2x", &byte) != 1) { free(plain); return 10006; }
        plain[i] = (char)(byte ^ (unsigned char)key[i % keys]);
    }
    if (n < 2 || plain[0] != '{') { free(plain); return 10006; }
    set(out, plain, n);
    free(plain);
    return 0;
}

MediaData_t *NewMediaData(void) { return calloc(1, sizeof(MediaData_t)); }
void FreeMediaData(MediaData_t *m) { free(m->outindexbuf); free(m->data); free(m); }
char *GetOutIndexBuf(MediaData_t *m) { return m->outindexbuf; }
char *GetData(MediaData_t *m) { return m->data; }
int GetIndexLen(MediaData_t *m) { return m->out_len; }
int GetDataLen(MediaData_t *m) { return m->data_len; }
int IsMediaDataFinish(MediaData_t *m) { return m->is_finish; }

/* Where a piece begins is "Range:bytes=<from>", as in the real one. */
int GetMediaData(WeWorkFinanceSdk_t *sdk, const char *index, const char *fileid, const char *proxy,
                 const char *passwd, int timeout, MediaData_t *out) {
    char name[512];
    long from = 0, size, chunk = 512 * 1024, left;
    FILE *f;
    int what;
    if (!sdk || sdk->magic != MAGIC || timeout <= 0 || !proxy || !passwd) return 10000;
    if ((what = fate(3)) > 0) return what;
    if (strchr(fileid, '/')) return 10005;
    if ((f = opened("chunk"))) { if (fscanf(f, "%ld", &chunk) != 1) chunk = 1; fclose(f); }
    if (index[0] && sscanf(index, "Range:bytes=%ld", &from) != 1) return 10000;
    snprintf(name, sizeof name, "files/%s", fileid);
    if (!(f = opened(name))) return 10005;
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    fseek(f, from, SEEK_SET);
    left = size - from < chunk ? size - from : chunk;
    out->data = malloc(left + 1);
    out->data_len = (int)fread(out->data, 1, left, f);
    fclose(f);
    out->is_finish = from + left >= size;
    out->outindexbuf = malloc(64);
    out->out_len = sprintf(out->outindexbuf, "Range:bytes=%ld", from + left);
    if (what == NEGATIVE) out->data_len = -1;
    return 0;
}
