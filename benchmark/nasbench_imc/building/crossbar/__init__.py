"""What networks compute on crossbars: devices, converters, row blocks, and chips that put them together.

``devices`` says what cells hold after programming and with time, ``blocks`` how a layer is cut into arrays,
``ranges`` how converters are set from training images, ``layers`` how a layer computes, ``serial`` the
exact simulation of bit-serial, bit-sliced arrays, and ``chip`` makes a whole network run on a configuration.
"""
