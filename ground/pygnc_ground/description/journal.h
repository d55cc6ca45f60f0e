/* Find the next undamaged record from `*position` on, and move `*position` behind it.
 * Damaged bytes are skipped. Unlike `pygnc inspect`, it corrects no flipped bit. */
static inline int pygnc_journal_next(const uint8_t *data, size_t size, size_t *position, pygnc_journal_record *out)
{
    for (; *position < size; ++*position) {
        const uint8_t *record = data + *position;
        if (pygnc_journal_record_decode(record, size - *position, out) == PYGNC_OK) {
            *position += PYGNC_JOURNAL_RECORD_SIZE + out->payload_size + 4;
            return PYGNC_OK;
        }
    }
    *position = size;
    return PYGNC_END;
}
