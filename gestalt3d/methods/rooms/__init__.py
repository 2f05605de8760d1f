"""What methods that look at a room block by block share: ASIS and SGPN."""
