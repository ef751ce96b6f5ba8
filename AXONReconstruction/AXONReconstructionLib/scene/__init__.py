"""The MRML scene: conversion to and from nodes, parameter node, placements; no Qt widgets."""
