#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Common part of the headers of PyGNC. `float` and `double` must be IEEE 754 with 32 and 64 bits. */
#ifndef PYGNC_LAYOUTS
#define PYGNC_LAYOUTS

typedef char pygnc_float_has_32_bits[sizeof(float) == 4 ? 1 : -1];
typedef char pygnc_double_has_64_bits[sizeof(double) == 8 ? 1 : -1];

/* Results of the decoders. */
enum {
    PYGNC_OK = 0,
    PYGNC_SIZE = 1,    /* too short or too long */
    PYGNC_MARK = 2,    /* wrong magic, sync marker, end or form */
    PYGNC_VERSION = 3, /* another version of the layout */
    PYGNC_CRC = 4,     /* damaged: wrong CRC-32 */
    PYGNC_END = 5      /* no further record */
};

static inline uint64_t pygnc_unsigned(const uint8_t *data, size_t size, int is_big)
{
    uint64_t value = 0;
    for (size_t k = 0; k < size; k++)
        value = value << 8 | data[is_big ? k : size - 1 - k];
    return value;
}

/* Two's complement number in the low bits, at most 32, of an unsigned number. */
static inline int32_t pygnc_signed(uint64_t value, int bits)
{
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (int32_t)((int64_t)((value & (2 * sign - 1)) ^ sign) - (int64_t)sign);
}

static inline float pygnc_f32(const uint8_t *data)
{
    uint32_t bits = (uint32_t)pygnc_unsigned(data, 4, 0);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double pygnc_f64(const uint8_t *data)
{
    uint64_t bits = pygnc_unsigned(data, 8, 0);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Value of a piecewise linear function, given by pairs of counts and values; `count` must be between two of them. */
static inline double pygnc_interpolate(const double (*points)[2], double count)
{
    while (points[1][0] < count)
        points++;
    return points[0][1] + (count - points[0][0]) * ((points[1][1] - points[0][1]) / (points[1][0] - points[0][0]));
}

/* CRC-32 of zlib. */
static inline uint32_t pygnc_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t k = 0; k < size; k++) {
        crc ^= data[k];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}
#endif
