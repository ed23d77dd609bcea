


    // !!! This file is generated using emlearn !!!

    #include <stdint.h>
    

static inline int32_t mytree_tree_0(const int16_t *features, int32_t features_length) {
          if (features[6] < -685) {
              if (features[0] < -900) {
                  return 1;
              } else {
                  if (features[8] < -2530) {
                      return 1;
                  } else {
                      if (features[9] < -650) {
                          return 1;
                      } else {
                          return 2;
                      }
                  }
              }
          } else {
              if (features[9] < -125) {
                  if (features[0] < 40) {
                      return 1;
                  } else {
                      if (features[2] < -520) {
                          return 1;
                      } else {
                          return 0;
                      }
                  }
              } else {
                  if (features[2] < -2020) {
                      return 1;
                  } else {
                      if (features[10] < -1300) {
                          return 2;
                      } else {
                          return 0;
                      }
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_1(const int16_t *features, int32_t features_length) {
          if (features[6] < -615) {
              if (features[0] < -600) {
                  if (features[12] < -305) {
                      return 2;
                  } else {
                      return 1;
                  }
              } else {
                  return 2;
              }
          } else {
              if (features[9] < -770) {
                  return 1;
              } else {
                  if (features[0] < 135) {
                      if (features[12] < -172) {
                          return 1;
                      } else {
                          return 0;
                      }
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_2(const int16_t *features, int32_t features_length) {
          if (features[6] < -1025) {
              if (features[3] < -1362) {
                  return 1;
              } else {
                  return 2;
              }
          } else {
              if (features[12] < -162) {
                  if (features[8] < -1720) {
                      if (features[3] < -250) {
                          return 1;
                      } else {
                          return 2;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[2] < -280) {
                      if (features[11] < 320) {
                          return 1;
                      } else {
                          if (features[12] < 654) {
                              return 1;
                          } else {
                              return 0;
                          }
                      }
                  } else {
                      if (features[3] < 1375) {
                          return 0;
                      } else {
                          return 1;
                      }
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_3(const int16_t *features, int32_t features_length) {
          if (features[12] < 418) {
              if (features[8] < -320) {
                  if (features[9] < -462) {
                      return 1;
                  } else {
                      return 2;
                  }
              } else {
                  if (features[0] < 140) {
                      return 1;
                  } else {
                      if (features[0] < 235) {
                          return 2;
                      } else {
                          return 0;
                      }
                  }
              }
          } else {
              if (features[0] < -230) {
                  return 1;
              } else {
                  return 0;
              }
          }
        }
        

static inline int32_t mytree_tree_4(const int16_t *features, int32_t features_length) {
          if (features[10] < -680) {
              if (features[11] < 40) {
                  return 2;
              } else {
                  return 1;
              }
          } else {
              if (features[12] < -45) {
                  return 1;
              } else {
                  if (features[4] < 1813) {
                      return 0;
                  } else {
                      return 1;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_5(const int16_t *features, int32_t features_length) {
          if (features[9] < -75) {
              if (features[12] < 115) {
                  if (features[8] < -2220) {
                      if (features[9] < -925) {
                          return 1;
                      } else {
                          return 2;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[2] < -40) {
                      return 1;
                  } else {
                      if (features[9] < -782) {
                          return 1;
                      } else {
                          return 0;
                      }
                  }
              }
          } else {
              if (features[6] < -105) {
                  return 2;
              } else {
                  if (features[12] < -467) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_6(const int16_t *features, int32_t features_length) {
          if (features[3] < -137) {
              if (features[6] < 350) {
                  if (features[6] < -945) {
                      return 2;
                  } else {
                      return 1;
                  }
              } else {
                  if (features[10] < 1400) {
                      if (features[5] < 2250) {
                          if (features[0] < -115) {
                              return 1;
                          } else {
                              return 0;
                          }
                      } else {
                          if (features[1] < -960) {
                              return 1;
                          } else {
                              return 0;
                          }
                      }
                  } else {
                      return 1;
                  }
              }
          } else {
              if (features[6] < -445) {
                  if (features[4] < 1437) {
                      if (features[11] < 120) {
                          return 2;
                      } else {
                          return 1;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[0] < 145) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_7(const int16_t *features, int32_t features_length) {
          if (features[12] < -170) {
              if (features[8] < -900) {
                  return 2;
              } else {
                  if (features[11] < -1030) {
                      return 2;
                  } else {
                      return 1;
                  }
              }
          } else {
              if (features[6] < -305) {
                  if (features[5] < -2020) {
                      return 1;
                  } else {
                      return 2;
                  }
              } else {
                  if (features[10] < 1180) {
                      return 0;
                  } else {
                      return 1;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_8(const int16_t *features, int32_t features_length) {
          if (features[5] < 200) {
              if (features[8] < -890) {
                  if (features[1] < -475) {
                      if (features[11] < -1670) {
                          return 2;
                      } else {
                          return 1;
                      }
                  } else {
                      return 2;
                  }
              } else {
                  if (features[0] < 80) {
                      return 1;
                  } else {
                      if (features[9] < 525) {
                          return 0;
                      } else {
                          return 2;
                      }
                  }
              }
          } else {
              if (features[9] < -850) {
                  return 1;
              } else {
                  if (features[4] < -937) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_9(const int16_t *features, int32_t features_length) {
          if (features[12] < -80) {
              if (features[8] < -1130) {
                  if (features[5] < -1160) {
                      return 2;
                  } else {
                      if (features[1] < 860) {
                          return 1;
                      } else {
                          return 2;
                      }
                  }
              } else {
                  if (features[9] < 600) {
                      return 1;
                  } else {
                      return 2;
                  }
              }
          } else {
              if (features[2] < -520) {
                  if (features[3] < -275) {
                      if (features[2] < -860) {
                          return 0;
                      } else {
                          return 2;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[9] < -782) {
                      return 1;
                  } else {
                      if (features[10] < -1080) {
                          return 2;
                      } else {
                          return 0;
                      }
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_10(const int16_t *features, int32_t features_length) {
          if (features[11] < -940) {
              if (features[10] < -488) {
                  return 2;
              } else {
                  return 1;
              }
          } else {
              if (features[0] < 135) {
                  if (features[12] < -31) {
                      return 1;
                  } else {
                      if (features[5] < 480) {
                          return 0;
                      } else {
                          return 1;
                      }
                  }
              } else {
                  if (features[11] < 120) {
                      if (features[5] < -1000) {
                          return 2;
                      } else {
                          return 1;
                      }
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_11(const int16_t *features, int32_t features_length) {
          if (features[4] < -969) {
              if (features[9] < 480) {
                  return 1;
              } else {
                  return 2;
              }
          } else {
              if (features[10] < -940) {
                  return 2;
              } else {
                  if (features[9] < -725) {
                      return 1;
                  } else {
                      if (features[12] < -240) {
                          if (features[0] < -55) {
                              return 1;
                          } else {
                              return 2;
                          }
                      } else {
                          return 0;
                      }
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_12(const int16_t *features, int32_t features_length) {
          if (features[12] < 517) {
              if (features[10] < -920) {
                  if (features[1] < 2995) {
                      if (features[6] < 255) {
                          return 2;
                      } else {
                          return 1;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[11] < 1660) {
                      if (features[6] < -1455) {
                          return 2;
                      } else {
                          if (features[9] < -100) {
                              if (features[2] < 1800) {
                                  return 1;
                              } else {
                                  return 0;
                              }
                          } else {
                              if (features[0] < -180) {
                                  return 2;
                              } else {
                                  return 1;
                              }
                          }
                      }
                  } else {
                      if (features[5] < 110) {
                          return 1;
                      } else {
                          return 0;
                      }
                  }
              }
          } else {
              return 0;
          }
        }
        

static inline int32_t mytree_tree_13(const int16_t *features, int32_t features_length) {
          if (features[9] < -125) {
              if (features[2] < 920) {
                  if (features[2] < -180) {
                      return 1;
                  } else {
                      if (features[0] < 20) {
                          if (features[11] < 2130) {
                              return 1;
                          } else {
                              return 0;
                          }
                      } else {
                          return 0;
                      }
                  }
              } else {
                  if (features[11] < 660) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          } else {
              if (features[11] < 40) {
                  return 2;
              } else {
                  if (features[7] < 600) {
                      if (features[9] < 175) {
                          if (features[9] < 100) {
                              return 0;
                          } else {
                              return 1;
                          }
                      } else {
                          return 0;
                      }
                  } else {
                      return 1;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_14(const int16_t *features, int32_t features_length) {
          if (features[9] < -125) {
              if (features[0] < -215) {
                  return 1;
              } else {
                  if (features[12] < -334) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          } else {
              if (features[5] < 400) {
                  return 2;
              } else {
                  if (features[12] < -158) {
                      return 2;
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_15(const int16_t *features, int32_t features_length) {
          if (features[6] < -665) {
              if (features[12] < 369) {
                  if (features[0] < -900) {
                      return 1;
                  } else {
                      return 2;
                  }
              } else {
                  return 1;
              }
          } else {
              if (features[12] < -170) {
                  if (features[6] < -475) {
                      if (features[5] < -1570) {
                          return 1;
                      } else {
                          return 2;
                      }
                  } else {
                      return 1;
                  }
              } else {
                  if (features[3] < 1562) {
                      if (features[6] < 110) {
                          return 1;
                      } else {
                          return 0;
                      }
                  } else {
                      return 1;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_16(const int16_t *features, int32_t features_length) {
          if (features[7] < 1080) {
              if (features[6] < 610) {
                  if (features[11] < -820) {
                      if (features[10] < -488) {
                          return 2;
                      } else {
                          return 1;
                      }
                  } else {
                      if (features[7] < -800) {
                          if (features[2] < -260) {
                              return 1;
                          } else {
                              if (features[6] < 290) {
                                  return 1;
                              } else {
                                  return 0;
                              }
                          }
                      } else {
                          return 1;
                      }
                  }
              } else {
                  if (features[12] < -240) {
                      return 1;
                  } else {
                      if (features[4] < 1969) {
                          return 0;
                      } else {
                          return 1;
                      }
                  }
              }
          } else {
              if (features[6] < -615) {
                  return 2;
              } else {
                  return 1;
              }
          }
        }
        

static inline int32_t mytree_tree_17(const int16_t *features, int32_t features_length) {
          if (features[10] < -1140) {
              if (features[9] < -290) {
                  return 1;
              } else {
                  return 2;
              }
          } else {
              if (features[6] < 340) {
                  if (features[11] < -1430) {
                      return 2;
                  } else {
                      if (features[8] < -2000) {
                          return 2;
                      } else {
                          return 1;
                      }
                  }
              } else {
                  if (features[12] < -398) {
                      return 1;
                  } else {
                      if (features[10] < 1120) {
                          return 0;
                      } else {
                          return 1;
                      }
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_18(const int16_t *features, int32_t features_length) {
          if (features[9] < -615) {
              if (features[11] < 2390) {
                  return 1;
              } else {
                  return 0;
              }
          } else {
              if (features[10] < -680) {
                  return 2;
              } else {
                  if (features[12] < -334) {
                      return 1;
                  } else {
                      return 0;
                  }
              }
          }
        }
        

static inline int32_t mytree_tree_19(const int16_t *features, int32_t features_length) {
          if (features[6] < 320) {
              if (features[9] < -75) {
                  return 1;
              } else {
                  return 2;
              }
          } else {
              if (features[12] < -275) {
                  return 1;
              } else {
                  if (features[5] < 2050) {
                      return 0;
                  } else {
                      if (features[4] < 1375) {
                          return 0;
                      } else {
                          return 1;
                      }
                  }
              }
          }
        }
        

int32_t mytree_predict(const int16_t *features, int32_t features_length) {

        int32_t votes[3] = {0,};
        int32_t _class = -1;

        _class = mytree_tree_0(features, features_length); votes[_class] += 1;
    _class = mytree_tree_1(features, features_length); votes[_class] += 1;
    _class = mytree_tree_2(features, features_length); votes[_class] += 1;
    _class = mytree_tree_3(features, features_length); votes[_class] += 1;
    _class = mytree_tree_4(features, features_length); votes[_class] += 1;
    _class = mytree_tree_5(features, features_length); votes[_class] += 1;
    _class = mytree_tree_6(features, features_length); votes[_class] += 1;
    _class = mytree_tree_7(features, features_length); votes[_class] += 1;
    _class = mytree_tree_8(features, features_length); votes[_class] += 1;
    _class = mytree_tree_9(features, features_length); votes[_class] += 1;
    _class = mytree_tree_10(features, features_length); votes[_class] += 1;
    _class = mytree_tree_11(features, features_length); votes[_class] += 1;
    _class = mytree_tree_12(features, features_length); votes[_class] += 1;
    _class = mytree_tree_13(features, features_length); votes[_class] += 1;
    _class = mytree_tree_14(features, features_length); votes[_class] += 1;
    _class = mytree_tree_15(features, features_length); votes[_class] += 1;
    _class = mytree_tree_16(features, features_length); votes[_class] += 1;
    _class = mytree_tree_17(features, features_length); votes[_class] += 1;
    _class = mytree_tree_18(features, features_length); votes[_class] += 1;
    _class = mytree_tree_19(features, features_length); votes[_class] += 1;
    
        int32_t most_voted_class = -1;
        int32_t most_voted_votes = 0;
        for (int32_t i=0; i<3; i++) {

            if (votes[i] > most_voted_votes) {
                most_voted_class = i;
                most_voted_votes = votes[i];
            }
        }
        return most_voted_class;
    }
    

int mytree_predict_proba(const int16_t *features, int32_t features_length, float *out, int out_length) {

        int32_t _class = -1;

        for (int i=0; i<out_length; i++) {
            out[i] = 0.0f;
        }

        _class = mytree_tree_0(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_1(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_2(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_3(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_4(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_5(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_6(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_7(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_8(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_9(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_10(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_11(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_12(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_13(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_14(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_15(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_16(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_17(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_18(features, features_length); out[_class] += 1.0f;
    _class = mytree_tree_19(features, features_length); out[_class] += 1.0f;
    
        // compute mean
        for (int i=0; i<out_length; i++) {
            out[i] = out[i] / 20;
        }
        return 0;
    }
    

            int32_t
            predict_wrapper(const float *values, int length) {
                // Convert to whatever is needed for inline
                int16_t features[13];
                for (int i=0; i<length; i++) {
                    features[i] = (int16_t)values[i];
                }
                const int32_t out = mytree_predict(features, length);
                if (out < 0) {
                    return -out;
                }
                return out;
            }

            int
            predict_proba_wrapper(const float *values, int length, float *outputs, int n_outputs) {
                // Convert to whatever is needed for inline
                int16_t features[13];
                for (int i=0; i<length; i++) {
                    features[i] = (int16_t)values[i];
                }

                const int err =                     mytree_predict_proba(features, length, outputs, n_outputs);

                return err;
            }
            