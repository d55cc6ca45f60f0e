/* A sentence. Its delivery is r (ordered), i (unordered) or c (unnumbered); a retry was sent before. */
typedef struct {
    char direction;
    char type[5];
    uint16_t session;
    char delivery;
    uint8_t is_retry;
    uint16_t number;
    size_t body_size;
    uint8_t body[PYGNC_BODY_MAX];
} pygnc_sentence;

/* Read upper-case hexadecimal digits; return 0 if there are other characters. */
static inline int pygnc_hexadecimal(const char *text, size_t digits, uint32_t *value)
{
    *value = 0;
    for (size_t k = 0; k < digits; k++) {
        char c = text[k];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')))
            return 0;
        *value = *value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return 1;
}

static inline int pygnc_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode base64 with padding; return 0 if the text has another form or `out` is too small. */
static inline int pygnc_base64(const char *text, size_t length, uint8_t *out, size_t out_max, size_t *out_size)
{
    size_t padding = 0;
    if (length % 4 != 0 || length / 4 * 3 > out_max)
        return 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    *out_size = length / 4 * 3 - padding;
    for (size_t at = 0; at < length; at += 4) {
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = at + k >= length - padding ? 0 : pygnc_base64_digit(text[at + k]);
            if (digit < 0)
                return 0;
            group = group << 6 | (uint32_t)digit;
        }
        for (size_t k = 0; k < 3 && at / 4 * 3 + k < *out_size; k++)
            out[at / 4 * 3 + k] = (uint8_t)(group >> (16 - 8 * k));
    }
    return 1;
}

/* Decode the sentence at the beginning of a line, from its < or > on; what follows the CRC-32 is ignored. */
static inline int pygnc_sentence_decode(const char *line, size_t length, pygnc_sentence *out)
{
    const char *star = length ? (const char *)memchr(line, '*', length) : NULL;
    size_t text = star ? (size_t)(star - line) : 0;
    uint32_t session, number, crc;
    memset(out, 0, sizeof *out);
    if (text < 17 || length - text < 9)
        return PYGNC_SIZE;
    if ((line[0] != '>' && line[0] != '<') || line[5] != ',' || line[10] != ',' || line[16] != ',')
        return PYGNC_MARK;
    for (size_t k = 1; k < 5; k++)
        if (line[k] < 'A' || line[k] > 'Z')
            return PYGNC_MARK;
    if (memchr("rRiIcC", line[11], 6) == NULL || !pygnc_hexadecimal(line + 6, 4, &session)
        || !pygnc_hexadecimal(line + 12, 4, &number) || !pygnc_hexadecimal(star + 1, 8, &crc)
        || !pygnc_base64(line + 17, text - 17, out->body, sizeof out->body, &out->body_size))
        return PYGNC_MARK;
    if (pygnc_crc32((const uint8_t *)line, text + 1) != crc)
        return PYGNC_CRC;
    out->direction = line[0];
    memcpy(out->type, line + 1, 4);
    out->session = (uint16_t)session;
    out->is_retry = line[11] < 'a';
    out->delivery = (char)(out->is_retry ? line[11] + ('a' - 'A') : line[11]);
    out->number = (uint16_t)number;
    return PYGNC_OK;
}
