"""Responses worked out by hand from the tables of the protocol, and recorded responses.

Recorded: CC_GX3 of a 3DM-GX3-25 (LORD-MicroStrain/MSCL, issue 84); INERTIA_LINK (gcangussu/3dmgx2, matlab/set1.mat,
whose sums were not stored); RADIO_... of a node behind its base station (the same, src/i3dmgx2_io_test.c), where the
first CC was partly overwritten in transit.
"""

from typing import Final

C2_REST: Final = bytes.fromhex("c2 00000000 00000000 3f800000 00000000 00000000 3dcccccd 012c0000 0450")
C2_MIXED: Final = bytes.fromhex("c23f000000be800000bf8000003e000000bf0000004000000002ee000005ab")
C2_LATE: Final = bytes.fromhex("c241a0000041a4000041a8000041ac000041b0000041b40000ffffff000941")
C4_OF_FB: Final = bytes.fromhex("c4fbffffff0004bc")
C4_OF_C2: Final = bytes.fromhex("c4c2010203040190")
E5_512: Final = bytes.fromhex("e5020000e7")
CC_GX3: Final = bytes.fromhex(
    "cc3bb2a2813bf2fa6a3f7fc55a3b6e9118baca5ab73b745d543ea40610bf0b156fbea364ac3efbee50bf5edbe4bbce316fbf5ed66cbefbd5f7"
    "bc9d0ff03c5ebfc23c744ea0bf7ff2a8014c2e6d2879"
)
INERTIA_LINK: Final = bytes.fromhex(
    "ccbd09b3a23f7fb0bc3cd75fe6bb7325b2bcbb3165bb98afd5ffc00000ffc00000ffc00000bf3271313f36b5873d8d427f3bd9ac183dd22957"
    "bf7ea492bf378d6dbf3160ffbd9c33557facd909 2665"
)
RADIO_C4: Final = bytes.fromhex("aa0700005f0700c4cc5ed6aeb926d40498")
RADIO_CC_BROKEN: Final = bytes.fromhex(
    "aa0700005f4eaa07007bd4da3d17c3ddbd997c3dbc0a2ffcbcd094a6bbb47d59ffc00000ffc00000ffc000003e821e213e070500bf75488e"
    "bf30ce223f37dfcbbdacbbd63f2d54773f2ee4043e8c155d4ed9aeb927d524c6"
)
RADIO_CC: Final = bytes.fromhex(
    "aa0700005f4e00cc3f7bf4563d15723bbd9acab0bc15f6acbce9b05abbdb5db1ffc00000ffc00000ffc000003e8226f13e071064bf7546ff"
    "bf30d2143f37dbadbdacd22c3f2d4ecb3f2ee7e63e8c1e925edcaeb926d42774"
)
RADIO_NOISE: Final = bytes.fromhex("aa0000005f0312096d19c7")
