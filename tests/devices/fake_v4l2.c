/* Device files of Video4Linux without a driver: preloaded, it answers ioctl() for every file whose name begins
 * with "video". What the file holds says what it is: camera, planes, metadata, decoder; for others there is no
 * such device. All values and layouts are those of the system's own <linux/videodev2.h>.
 *
 *     gcc -shared -fPIC -O2 -o fake_v4l2.so fake_v4l2.c && LD_PRELOAD=./fake_v4l2.so ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct { unsigned code; struct { unsigned width, height, fps; } sizes[3]; } formats[] = {
    {V4L2_PIX_FMT_MJPEG, {{1920, 1080, 30}, {1280, 720, 60}}},
    {V4L2_PIX_FMT_YUYV, {{640, 480, 30}}},
};

static int no(int error) {
    errno = error;
    return -1;
}

/* What the file holds; empty if it is none of ours. */
static const char *kind_of(int fd) {
    static __thread char kind[32];
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return "";
    path[length] = 0;
    const char *name = strrchr(path, '/');
    if (!name || strncmp(name + 1, "video", 5)) return "";
    memset(kind, 0, sizeof kind);
    return pread(fd, kind, sizeof kind - 1, 0) < 0 ? "" : kind;
}

static int answer(const char *kind, unsigned long request, void *data) {
    int planes = !strcmp(kind, "planes");
    unsigned type = planes ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (request == VIDIOC_QUERYCAP) {
        struct v4l2_capability *c = data;
        memset(c, 0, sizeof *c);
        strcpy((char *)c->driver, strcmp(kind, "decoder") ? "uvcvideo" : "bcm2835-codec");
        strcpy((char *)c->card, "A Camera: A Camera");
        strcpy((char *)c->bus_info, "usb-0000:01:00.0-1.2");
        c->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
        c->device_caps = V4L2_CAP_STREAMING;
        if (!strcmp(kind, "camera")) c->device_caps |= V4L2_CAP_VIDEO_CAPTURE;
        if (planes) c->device_caps |= V4L2_CAP_VIDEO_CAPTURE_MPLANE;
        if (!strcmp(kind, "metadata")) c->device_caps |= V4L2_CAP_META_CAPTURE;
        if (!strcmp(kind, "decoder")) c->device_caps |= V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_CAPTURE;
        return 0;
    }
    if (request == VIDIOC_ENUM_FMT) {
        struct v4l2_fmtdesc *f = data;
        if (f->type != type || f->index >= 2) return no(EINVAL);
        f->pixelformat = formats[f->index].code;
        return 0;
    }
    if (request == VIDIOC_ENUM_FRAMESIZES) {
        struct v4l2_frmsizeenum *s = data;
        if (planes) {
            if (s->index) return no(EINVAL);
            s->type = V4L2_FRMSIZE_TYPE_STEPWISE;
            s->stepwise = (struct v4l2_frmsize_stepwise){32, 4056, 2, 32, 3040, 2};
            return 0;
        }
        for (int i = 0; i < 2; i++)
            if (formats[i].code == s->pixel_format && s->index < 3 && formats[i].sizes[s->index].width) {
                s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
                s->discrete.width = formats[i].sizes[s->index].width;
                s->discrete.height = formats[i].sizes[s->index].height;
                return 0;
            }
        return no(EINVAL);
    }
    if (request == VIDIOC_ENUM_FRAMEINTERVALS) {
        struct v4l2_frmivalenum *v = data;
        if (planes) return no(ENOTTY);
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 3; k++)
                if (formats[i].code == v->pixel_format && formats[i].sizes[k].width == v->width &&
                    formats[i].sizes[k].height == v->height && v->index < 2) {
                    v->type = V4L2_FRMIVAL_TYPE_DISCRETE;
                    /* the slower rate first, as some cameras do */
                    v->discrete = (struct v4l2_fract){1, v->index ? formats[i].sizes[k].fps : 5};
                    return 0;
                }
        return no(EINVAL);
    }
    return no(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, void *);
    va_list rest;
    va_start(rest, request);
    void *data = va_arg(rest, void *);
    va_end(rest);
    const char *kind = kind_of(fd);
    if (!*kind) {
        if (!real) real = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
        return real(fd, request, data);
    }
    if (strcmp(kind, "camera") && strcmp(kind, "planes") && strcmp(kind, "metadata") && strcmp(kind, "decoder"))
        return no(ENOTTY);
    return answer(kind, request, data);
}
